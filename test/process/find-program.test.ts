import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findProgram } from '../../src/process/find-program.ts'
import { scratch } from '../support/scratch.ts'

test('the first executable file of that name on PATH', () => {
  const [first, second, third] = [scratch(), scratch(), scratch()]
  mkdirSync(join(first, 'tool'))
  writeFileSync(join(second, 'tool'), '', { mode: 0o644 })
  writeFileSync(join(third, 'tool'), '', { mode: 0o755 })
  symlinkSync('/no/such/file', join(second, 'dangling'))
  const PATH = [first, second, '/no/such/folder', third].join(':')
  expect(findProgram('tool', { PATH })).toBe(join(third, 'tool'))
  expect(findProgram(join(third, 'tool'), { PATH: '' })).toBe(join(third, 'tool'))
  for (const name of ['dangling', 'nothing', join(second, 'tool'), './tool'])
    expect(() => findProgram(name, { PATH })).toThrow(expect.objectContaining({ code: 'tool_missing' }))
  expect(() => findProgram('tool', {})).toThrow(expect.objectContaining({ code: 'tool_missing' }))
})

test('ours by default', () => {
  expect(findProgram('sh')).toMatch(/^\/.*sh$/)
})
