import { expect, test } from 'vitest'
import { advanceProgress, initialProgress, type ProgressState, viewProgress } from '../../src/progress/estimator.ts'
import type { ProgressInput } from '../../src/progress/progress.ts'
import { NO_FACTS } from '../../src/progress/state.ts'

const facts = { ...NO_FACTS, sourceBytes: 1e9, binlogBytes: 600e6 }

/** A restore up to a phase, with so many seconds before. */
function upTo(phase: Extract<ProgressInput, { type: 'phase' }>['phase']): { state: ProgressState; atMs: number } {
  let state = advanceProgress(initialProgress(), { type: 'element', position: 1, facts }, 0)
  for (const input of [
    { type: 'phase', phase: 'restoring_basebackup' },
    { type: 'source', readBytes: 1e9 },
    { type: 'passed' },
    { type: 'phase', phase },
  ] satisfies ProgressInput[])
    state = advanceProgress(state, input, 10_000)
  return { state, atMs: 10_000 }
}

test('apply is as far as its bytes, and its end follows from its own rate', () => {
  let { state, atMs } = upTo('applying_binlogs')
  for (let doneBytes = 0; doneBytes < 600e6; doneBytes += 5e6, atMs += 1000) {
    state = advanceProgress(state, { type: 'binlogs', doneBytes, totalBytes: 600e6 }, atMs)
    const { phasePercent, eta } = viewProgress(state, atMs)
    expect(Math.abs(phasePercent! - (100 * doneBytes) / 600e6)).toBeLessThan(5)
    // 120 s in all
    if (doneBytes > 60e6 && eta !== null) expect(Math.abs(eta.atMs - 130_000)).toBeLessThan(12_000)
  }
  expect(viewProgress(state, atMs).phasePercent).toBeLessThan(100)
})

test('a huge transaction holds the position: I/O of the server is activity, and the percentage waits', () => {
  const begun = upTo('applying_binlogs')
  let { state, atMs } = begun
  state = advanceProgress(state, { type: 'binlogs', doneBytes: 100e6, totalBytes: 600e6 }, atMs + 5000)
  atMs += 5000
  const before = viewProgress(state, atMs).phasePercent
  for (let second = 1; second <= 600; second++) {
    const sample = { cpuSeconds: second, rcharBytes: null, readBytes: 0, writeBytes: second * 8e6 }
    atMs += 1000
    state = advanceProgress(state, { type: 'sample', sample }, atMs)
  }
  const { phasePercent, stalled, activity } = viewProgress(state, atMs)
  expect({ phasePercent, stalled, activity }).toEqual({ phasePercent: before, stalled: false, activity: 'progressing' })
  const silent = viewProgress(state, atMs + 700_000)
  expect(silent.stalled).toBe(true)
})

test('before apply begins, its time counts in what remains of the restore', () => {
  const { state, atMs } = upTo('preparing_backup')
  const without = { ...state, facts: { ...state.facts, binlogBytes: 0 } }
  const remaining = (of: ProgressState) =>
    advanceProgress(of, { type: 'step', step: 'move_back' }, atMs + 1000).restoreRemainingSeconds!
  expect(remaining(state)).toBeGreaterThan(remaining(without) + 600e6 / 20e6)
})
