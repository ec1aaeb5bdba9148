import { describe, expect, test } from 'vitest'
import type { ToolSample } from '../../src/process/proc-sample.ts'
import { advanceProgress, initialProgress, type ProgressState, viewProgress } from '../../src/progress/estimator.ts'
import type { ProgressInput, StallThresholds } from '../../src/progress/progress.ts'
import { NO_FACTS } from '../../src/progress/state.ts'
import type { ToolEvent } from '../../src/tool/events.ts'

const START_MS = 1_800_000_000_000
const MB = 1_000_000

/** A prepare that has scanned half of 1 GB of redo in 10 s, a sample each second; `now` is that moment. */
function scanning(stallThresholds: StallThresholds = {}, withSamples = true) {
  let state = initialProgress({ stallThresholds })
  const now = { ms: START_MS }
  const feed = (input: ProgressInput, afterMs = 0): ProgressState => {
    now.ms += afterMs
    state = advanceProgress(state, input, now.ms)
    return state
  }
  const event = (toolEvent: ToolEvent, afterMs = 0) => feed({ type: 'tool', event: toolEvent }, afterMs)
  const sample = (megabytes: number, cpuSeconds: number, afterMs = 1000) => {
    const bytes = megabytes * MB
    const counters: ToolSample = { cpuSeconds, rcharBytes: bytes, readBytes: bytes, writeBytes: 0 }
    return feed({ type: 'sample', sample: counters }, afterMs)
  }
  const view = (afterMs = 0) => viewProgress(state, now.ms + afterMs)
  feed({ type: 'restart', elements: 1 })
  feed({ type: 'element', position: 1, facts: { ...NO_FACTS, lastLsn: 1000 * MB, memoryBytes: 2000 * MB } })
  feed({ type: 'phase', phase: 'preparing_backup' })
  event({ type: 'checkpoint', lsn: 0 })
  for (let second = 0; second <= 10; second++) {
    if (withSamples) sample(50 * second, second / 2, second === 0 ? 0 : 1000)
    else event({ type: 'redo_scanned', lsn: 50 * MB * second + 1 }, second === 0 ? 0 : 1000)
  }
  return { feed, event, sample, view, now }
}

test('progressing: bytes of the step come', () => {
  const { view } = scanning()
  expect(view()).toMatchObject({ activity: 'progressing', stalled: false, quietSinceMs: null, step: 'redo_scan' })
  expect(view().phasePercent).toBeGreaterThan(10)
})

test('stopped: dead, quiet, stands still for ever, stalled after the threshold of its step', () => {
  const { view, sample, now } = scanning()
  const before = view()
  const since = now.ms
  for (let second = 0; second < 119; second++) sample(500, 5)
  expect(view()).toMatchObject({ activity: 'dead', quietSinceMs: since, stalled: false, lastProgressAtMs: since })
  for (let second = 0; second < 600; second++) sample(500, 5)
  expect(view()).toMatchObject({ activity: 'dead', stalled: true, stallThresholdMs: 120_000, eta: null })
  expect(view().phasePercent).toBe(before.phasePercent)
  // It goes on: at once no longer stalled, and no jump for the time that nothing was done in.
  sample(550, 5.5)
  expect(view()).toMatchObject({ activity: 'progressing', stalled: false, quietSinceMs: null })
  expect(view().phasePercent! - before.phasePercent!).toBeLessThan(10)
})

test('stopped under a patience shorter than what counts as quiet: stalled, and dead', () => {
  const { view, sample } = scanning({ default: 3_000 })
  sample(500, 5)
  sample(500, 5)
  expect(view()).toMatchObject({ activity: 'progressing', stalled: false })
  sample(500, 5)
  sample(500, 5)
  expect(view()).toMatchObject({ activity: 'dead', stalled: true, stallThresholdMs: 3_000 })
})

test('working: only CPU moves, so it is slow, not dead; but no progress', () => {
  const { view, sample, now } = scanning()
  const { phasePercent } = view()
  const since = now.ms
  for (let second = 0; second < 60; second++) sample(500, 5 + second)
  expect(view()).toMatchObject({ activity: 'working', quietSinceMs: since, stalled: false, phasePercent })
  for (let second = 0; second < 70; second++) sample(500, 65 + second)
  expect(view()).toMatchObject({ activity: 'working', stalled: true, lastActivityAtMs: now.ms, phasePercent })
})

test('flooding: complaints of no free pages are neither progress nor quiet, and patience is shorter', () => {
  const { view, event, sample } = scanning()
  event({ type: 'batch_started', pages: 5000 }, 100)
  const { phasePercent } = view()
  for (let i = 0; i < 59_000; i++) {
    event({ type: 'starved' }, 1)
    if (i % 1000 === 0) sample(500 + i, 5 + i / 1000, 0)
  }
  expect(view()).toMatchObject({ activity: 'flooding', stalled: false, quietSinceMs: null, stallThresholdMs: 60_000 })
  for (let i = 0; i < 2_000; i++) event({ type: 'starved' }, 1)
  expect(view()).toMatchObject({ activity: 'flooding', stalled: true, phasePercent })
  // A page batch that comes to its end after all is progress again.
  event({ type: 'batch_completed' }, 1000)
  expect(view()).toMatchObject({ activity: 'progressing', stalled: false, stallThresholdMs: 600_000 })
})

test('another user hides the process: unknown, never dead', () => {
  const { view, now } = scanning({}, false)
  expect(view(4_999)).toMatchObject({ activity: 'progressing', quietSinceMs: null })
  expect(view(5_000)).toMatchObject({ activity: 'unknown', quietSinceMs: now.ms })
  expect(view(120_001)).toMatchObject({ activity: 'unknown', stalled: true })
})

describe('thresholds', () => {
  test('the step, then the phase, then the default of the operator; then ours', () => {
    const at = (thresholds: StallThresholds) => scanning(thresholds).view().stallThresholdMs
    expect(at({})).toBe(120_000)
    expect(at({ default: 7_000 })).toBe(7_000)
    expect(at({ preparing_backup: 8_000, default: 7_000 })).toBe(8_000)
    expect(at({ redo_scan: 9_000, preparing_backup: 8_000 })).toBe(9_000)
    expect(at({ redo_apply: 1_000 })).toBe(120_000)
  })

  test('each step has its own', () => {
    const { event, view } = scanning()
    event({ type: 'end_of_log', lsn: 1000 * MB }, 100)
    expect(view()).toMatchObject({ step: 'redo_apply', stallThresholdMs: 300_000 })
    event({ type: 'rollback_started', rows: 10 }, 100)
    expect(view()).toMatchObject({ step: 'undo_rollback', stallThresholdMs: 900_000 })
    event({ type: 'shutdown_started' }, 100)
    expect(view()).toMatchObject({ step: 'shutdown', stallThresholdMs: 600_000 })
  })
})

test('nothing is stalled or quiet when it has passed, or has ended', () => {
  const { feed, view } = scanning()
  feed({ type: 'passed' })
  expect(view(9_999_999)).toMatchObject({ stalled: false, quietSinceMs: null, phasePercent: 100 })
  feed({ type: 'phase', phase: 'failed' })
  expect(view(9_999_999)).toMatchObject({ stalled: false, quietSinceMs: null, eta: null })
})

test('a new redo file that is synced is no dead tool, and a large one is waited for on the slowest disk', () => {
  const { view, event, feed, sample } = scanning()
  feed({ type: 'facts', facts: { tool: 'xtrabackup', toolVersion: '2.4.20' } })
  event({ type: 'shutdown_started' })
  event({ type: 'shutdown_completed', lsn: 1000 * MB })
  event({ type: 'redo_file_started', bytes: 48 * 1024 * MB })
  for (let second = 0; second < 700; second++) sample(500, 5)
  expect(view()).toMatchObject({ activity: 'unknown', stalled: false })
  expect(view().stallThresholdMs).toBeGreaterThan(9_000_000)
  event({ type: 'redo_files_created' }, 1000)
  for (let second = 0; second < 601; second++) sample(500, 5)
  expect(view()).toMatchObject({ activity: 'dead', stalled: true, stallThresholdMs: 600_000 })
})

test('an operator’s own threshold counts for a new redo file too', () => {
  const { view, event, feed } = scanning({ default: 60_000 })
  feed({ type: 'facts', facts: { tool: 'xtrabackup', toolVersion: '2.4.20' } })
  event({ type: 'shutdown_started' })
  event({ type: 'shutdown_completed', lsn: 1000 * MB })
  event({ type: 'redo_file_started', bytes: 48 * 1024 * MB })
  expect(view().stallThresholdMs).toBe(60_000)
})
