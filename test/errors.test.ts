import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { errorsDoc } from '../scripts/write-errors-doc.ts'
import { ERROR_CODES, ERRORS, exitCodeOf, RestoreError, toRestoreError } from '../src/errors.ts'

test('each exit code belongs to one error, none is 0 or what a shell gives itself', () => {
  const exits = ERROR_CODES.map(exitCodeOf)
  expect(new Set(exits).size).toBe(exits.length)
  const signals = new Set([exitCodeOf('cancelled'), exitCodeOf('terminated')])
  for (const exit of exits) expect(exit > 0 && (exit < 126 || signals.has(exit))).toBe(true)
})

test('docs/errors.md is what scripts/write-errors-doc.ts writes', () => {
  expect(readFileSync(join(import.meta.dirname, '../docs/errors.md'), 'utf8')).toBe(errorsDoc())
})

test('only positive evidence of damage counts against a backup', () => {
  const damaged = ERROR_CODES.filter(code => ERRORS[code].backup)
  expect(damaged.sort()).toEqual([
    'backup_incomplete',
    'redo_incomplete',
    'source_corrupt',
    'source_empty',
    'source_truncated',
    'start_check_failed',
    'verify_failed',
  ])
})

test('an error carries its code, its hint or a better one, and the last words', () => {
  const plain = new RestoreError('disk_full', 'no room in /data')
  expect(plain.record).toEqual({
    code: 'disk_full',
    message: 'no room in /data',
    lastWords: [],
    hint: ERRORS.disk_full.hint,
  })
  const better = new RestoreError('usage', 'what?', { hint: 'try this', lastWords: ['a', 'b'] })
  expect(better.record).toMatchObject({ hint: 'try this', lastWords: ['a', 'b'] })
})

test('anything thrown becomes an error with a code', () => {
  const known = new RestoreError('locked', 'held')
  expect(toRestoreError(known)).toBe(known)
  const cause = new TypeError('x is not a function')
  expect(toRestoreError(cause)).toMatchObject({ code: 'internal', message: 'x is not a function', cause })
  expect(toRestoreError('text')).toMatchObject({ code: 'internal', message: 'text' })
})
