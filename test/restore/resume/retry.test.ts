import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, ERRORS } from '../../../src/errors.ts'
import { backoffMs, nextTry } from '../../../src/restore/resume/retry.ts'
import { runsOf } from '../../support/runs.ts'
import { sampleOptions, samplePlan, sampleState } from '../../support/samples.ts'
import { refs } from '../../support/source-refs.ts'

const OLDER = [refs('/backups/older.xb'), refs('/backups/oldest.xb')]

describe('what follows a failed attempt', () => {
  test('another, where it may pass and is not used up', () => {
    const state = sampleState({ plan: samplePlan(), options: sampleOptions({ retries: 2 }) })
    expect(nextTry(state, 'source_unreadable', true)).toEqual({ kind: 'again', memoryCapBytes: null })
    expect(nextTry({ ...state, failures: 1 }, 'source_unreadable', true)).toMatchObject({ kind: 'again' })
    expect(nextTry({ ...state, failures: 2 }, 'source_unreadable', true)).toEqual({ kind: 'exhausted' })
  })

  test('half the memory, where a tool was killed in prepare, but not less than recovery needs', () => {
    const state = sampleState({ plan: samplePlan(), runs: runsOf(['1-prepare'], ['1-extract']) })
    expect(nextTry(state, 'tool_killed', true)).toEqual({ kind: 'again', memoryCapBytes: 2 ** 29 })
    const small = { ...state, plan: { ...state.plan!, memory: { bytes: 1000, reason: '' } } }
    expect(nextTry(small, 'tool_killed', true)).toEqual({ kind: 'again', memoryCapBytes: 32 * 2 ** 20 })
    const xtrabackup = {
      ...small,
      plan: { ...small.plan, tool: { ...small.plan.tool, family: 'xtrabackup' as const } },
    }
    expect(nextTry(xtrabackup, 'tool_killed', true)).toEqual({ kind: 'again', memoryCapBytes: 256 * 2 ** 20 })
    expect(nextTry({ ...state, runs: runsOf(['1-extract']) }, 'tool_killed', true)).toMatchObject({
      memoryCapBytes: null,
    })
  })

  test('the memory that was asked for since the killed prepare was started', () => {
    const begun = { plan: samplePlan(), runs: runsOf(['1-prepare'], ['1-extract']) }
    const asking = (memory: number, memoryCapBytes: number | null = null) =>
      nextTry(sampleState({ ...begun, memoryCapBytes, options: sampleOptions({ memory }) }), 'tool_killed', true)
    expect(asking(2 ** 30 - 2 ** 20)).toEqual({ kind: 'again', memoryCapBytes: null })
    expect(asking(2 ** 31)).toEqual({ kind: 'again', memoryCapBytes: null })
    expect(asking(2 ** 30)).toEqual({ kind: 'again', memoryCapBytes: 2 ** 29 })
    // Not what was asked for, because it was too much: again half of it.
    expect(asking(2 ** 31, 2 ** 30)).toEqual({ kind: 'again', memoryCapBytes: 2 ** 29 })
  })

  test('nothing, of standard input or before anything was looked at', () => {
    const stdin = sampleState({ plan: samplePlan(), options: sampleOptions({ sources: refs('-') }) })
    expect(nextTry(stdin, 'tool_killed', true)).toBeNull()
    expect(nextTry(sampleState(), 'source_unreadable', false)).toBeNull()
  })

  test('the next older backup, where this one is at fault, until there is none', () => {
    const state = sampleState({ plan: samplePlan(), options: sampleOptions({ olderBackups: OLDER }) })
    expect(nextTry(state, 'source_corrupt', true)).toEqual({ kind: 'older', backupIndex: 1 })
    expect(nextTry({ ...state, backupIndex: 1 }, 'source_corrupt', true)).toEqual({ kind: 'older', backupIndex: 2 })
    expect(nextTry({ ...state, backupIndex: 2 }, 'source_corrupt', true)).toBeNull()
  })

  test.each([
    'source_missing',
    'source_unreadable',
    'source_unknown',
    'wrong_key',
    'key_missing',
    'chain_broken',
    'tool_missing',
    'tool_version',
  ] as const)('%s: an older backup that has it is passed over, the one asked for is not', code => {
    const state = sampleState({ options: sampleOptions({ olderBackups: OLDER }) })
    expect(nextTry(state, code, false)).toBeNull()
    expect(nextTry({ ...state, backupIndex: 1 }, code, false)).toEqual({ kind: 'older', backupIndex: 2 })
    expect(nextTry({ ...state, backupIndex: 2 }, code, false)).toBeNull()
  })

  test.each(ERROR_CODES.filter(code => !ERRORS[code].backup))('%s never marks a backup as broken', code => {
    const state = sampleState({ plan: samplePlan(), options: sampleOptions({ olderBackups: OLDER }) })
    expect(nextTry(state, code, true)?.kind).not.toBe('older')
  })
})

test('pauses double, up to sixteen times the delay, and are never longer than that', () => {
  expect([1, 2, 3, 4, 5, 6, 60].map(failures => backoffMs(failures, 1000, () => 1))).toEqual([
    1000, 2000, 4000, 8000, 16_000, 16_000, 16_000,
  ])
  fc.assert(
    fc.property(fc.nat(100), fc.nat(60_000), fc.double({ min: 0, max: 1, noNaN: true }), (failures, delay, random) => {
      const pause = backoffMs(failures, delay, () => random)
      expect(pause).toBeGreaterThanOrEqual(delay / 2)
      expect(pause).toBeLessThanOrEqual(16 * delay)
    }),
  )
})
