import { expect, test } from 'vitest'
import { RestoreError } from '../../src/errors.ts'
import { reduce } from '../../src/restore/state/reduce.ts'
import type { RestoreEvent, RestoreState } from '../../src/restore/state/state.ts'
import { resumed } from '../support/resumed.ts'
import { runOf } from '../support/runs.ts'
import { samplePlan, sampleState, sampleTool, T0 } from '../support/samples.ts'

/**
 * What a new attempt says of the whole restore, through the reducer: the work that stands counts, the rest does not.
 */

type Timeless = RestoreEvent extends infer E ? (E extends { atMs: number } ? Omit<E, 'atMs'> : never) : never

function go(from: RestoreState, events: readonly (Timeless | number)[]): RestoreState {
  let state = from
  let atMs = from.updatedAtMs
  for (const event of events) {
    if (typeof event === 'number') atMs += 1000 * event
    else if (event.type === 'resumed')
      state = reduce(state, resumed(state, { bootId: event.bootId, atMs, lastSeenAtMs: T0 }))
    else state = reduce(state, { ...event, atMs } as RestoreEvent)
  }
  return state
}

const source = (position: number, sourceReadBytes: number): Timeless => ({
  type: 'sample',
  position,
  sample: { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null },
  lines: 0,
  delta: { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null },
  sourceReadBytes,
})

const lines = (position: number, ...events: Extract<RestoreEvent, { type: 'tool_lines' }>['events']): Timeless => ({
  type: 'tool_lines',
  position,
  id: sampleTool().id,
  tool: 'mariadb-backup',
  readOffset: 1,
  events,
  lines: [],
  count: events.length,
  dropped: 0,
})

/** 20 s of bringing (the source has 10 MB). */
const bring = (position: number): (Timeless | number)[] => [
  { type: 'phase_started', phase: 'restoring_basebackup', position },
  { type: 'run_begun', run: runOf(`${position}-fetch`) },
  ...Array.from({ length: 20 }, (_, i) => [1, source(position, 500_000 * (i + 1))]).flat(),
  { type: 'run_finished', run: runOf(`${position}-fetch`) },
  { type: 'phase_ended', error: null },
]

/** 10 s of preparing, without the end of its phase, which for the last element is that of move-back. */
const prepare = (position: number): (Timeless | number)[] => [
  { type: 'phase_started', phase: 'preparing_backup', position },
  { type: 'run_begun', run: runOf(`${position}-prepare`) },
  lines(position, { type: 'checkpoint', lsn: 1_000_000 }),
  5,
  lines(position, { type: 'end_of_log', lsn: 1_500_000 }),
  lines(position, { type: 'pages_left', pages: 100, lsn: null, endLsn: 1_500_000 }),
  5,
  lines(position, { type: 'completed_ok' }),
  { type: 'run_finished', run: runOf(`${position}-prepare`) },
]

const PASSED: Timeless = { type: 'phase_ended', error: null }
const MOVED: (Timeless | number)[] = [
  { type: 'step_started', step: 'move_back' },
  { type: 'run_begun', run: runOf('2-move_back') },
  2,
  lines(2, { type: 'file_done' }, { type: 'completed_ok' }),
  { type: 'run_finished', run: runOf('2-move_back') },
  PASSED,
]

const BEGIN: Timeless[] = [
  { type: 'attempt_started' },
  { type: 'phase_started', phase: 'getting_backup_info', position: 0 },
  { type: 'planned', plan: samplePlan(2) },
  PASSED,
]
const DIED: (Timeless | number)[] = [600, resumed(sampleState()), { type: 'attempt_started' }]
const VERIFY: Timeless[] = [
  { type: 'phase_started', phase: 'finalizing', position: 2 },
  { type: 'step_started', step: 'verify' },
]

const seconds = (state: RestoreState) => state.estimator.restoreSeconds
const FIRST = [...bring(1), ...prepare(1), PASSED]
const SECOND = [...bring(2), ...prepare(2), ...MOVED]

test('all was moved back when the agent died: the last checks are the last of it, not a fifth', () => {
  const moved = go(sampleState(), [...BEGIN, ...FIRST, ...SECOND])
  const straightOn = go(moved, VERIFY)
  const state = go(moved, [...DIED, ...VERIFY])
  expect(state.attempt).toBe(2)
  expect(straightOn.progress.restorePercent).toBeGreaterThan(98)
  expect(state.progress.restorePercent).toBeGreaterThan(98)
  expect(state.progress.restorePercent).toBeLessThanOrEqual(99)
  expect(seconds(state)).toBe(62)
})

test('an element that stands keeps its seconds, the one that was cut begins at what they are', () => {
  const cut = go(sampleState(), [...BEGIN, ...FIRST, ...bring(2), ...prepare(2).slice(0, 6), ...DIED])
  expect(seconds(cut)).toBe(50)
  // Repair finds that the second has to be brought again, and says so after the attempt has begun.
  const undone = go(cut, [{ type: 'runs_undone', runs: ['2-fetch', '2-prepare'].map(runOf) }])
  expect(seconds(undone)).toBe(30)
  const again = go(undone, bring(2).slice(0, 4))
  expect(again.progress.restorePercent).toBeGreaterThan(35)
  expect(again.progress.restorePercent).toBeLessThan(90)
  const whole = go(again, [...bring(2).slice(4), ...prepare(2), ...MOVED, ...VERIFY])
  expect(seconds(whole)).toBe(62)
  expect(whole.progress.restorePercent).toBeGreaterThan(98)
})

test('where everything is done again, it begins again', () => {
  const cut = go(sampleState(), [...BEGIN, ...FIRST, ...DIED])
  const undone = go(cut, [{ type: 'runs_undone', runs: ['1-fetch', '1-prepare'].map(runOf) }, ...bring(1).slice(0, 4)])
  expect(undone.progress.restorePercent).toBeLessThan(5)
  expect(seconds(undone)).toBe(1)
})

test('after a reboot, which undoes all that was not moved back, it begins again too; and with an older backup', () => {
  const rebooted = DIED.map(event =>
    typeof event === 'object' && event.type === 'resumed' ? { ...event, bootId: 'another' } : event,
  )
  expect(seconds(go(sampleState(), [...BEGIN, ...FIRST, ...rebooted]))).toBe(0)
  const older: Timeless[] = [
    { type: 'fell_back', backupIndex: 1, error: new RestoreError('source_corrupt', 'a page').record },
    ...BEGIN,
  ]
  expect(seconds(go(sampleState(), [...BEGIN, ...FIRST, ...older]))).toBe(0)
})
