import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { RestoreEvent, RestoreState } from '../../../src/restore/state/state.ts'
import { writeStateFile } from '../../../src/restore/state/state-dir.ts'
import { emptyLedger } from '../../../src/restore/state/state-schema.ts'
import { createStore, type StoreOptions } from '../../../src/restore/state/store.ts'
import { runOf } from '../../support/runs.ts'
import { samplePlan, sampleState, sampleTool, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'

function record(options: Partial<StoreOptions> = {}) {
  const log: string[] = []
  const store = createStore(
    sampleState(),
    { type: 'restore_started', atMs: T0 },
    {
      observers: [{ observe: (_, event) => void log.push(`told ${event.type}`) }],
      write: (_, durable) => void log.push(durable ? 'fsync' : 'write'),
      onWriteError: error => void log.push(`write error ${(error as Error).message}`),
      onObserverError: error => void log.push(`observer error ${(error as Error).message}`),
      ...options,
    },
  )
  const during = (event: RestoreEvent) => {
    log.length = 0
    store.dispatch(event)
    return [...log]
  }
  return { store, log, during }
}

const LINES = {
  type: 'tool_lines',
  position: 1,
  id: sampleTool().id,
  tool: 'mariadb-backup',
  events: [],
  lines: [],
  count: 1,
  dropped: 0,
} as const

describe('the state is on disk before anybody hears of it', () => {
  test('from the first moment', () => {
    expect(record().log).toEqual(['fsync', 'told restore_started'])
  })

  test.each<[string, RestoreEvent]>([
    ['a span that opens', { type: 'attempt_started', atMs: T0 }],
    ['a phase', { type: 'phase_started', phase: 'restoring_basebackup', position: 1, atMs: T0 }],
    ['a plan', { type: 'planned', plan: samplePlan(), atMs: T0 }],
    ['a tool', { type: 'tool_started', position: 1, tool: sampleTool(), attributes: {}, atMs: T0 }],
    ['what is made', { type: 'cleanup', cleanup: emptyLedger(), atMs: T0 }],
    ['a run that begins', { type: 'run_begun', run: runOf('1-fetch'), atMs: T0 }],
    ['a run that is finished', { type: 'run_finished', run: runOf('1-fetch'), atMs: T0 }],
    ['another try', { type: 'failed_attempt', memoryCapBytes: null, atMs: T0 }],
    ['the end', { type: 'ended', status: 'succeeded', phase: 'completed', error: null, atMs: T0 }],
  ])('%s', (_, event) => {
    expect(record().during(event)).toEqual(['fsync', `told ${event.type}`])
  })
})

test('mere progress is written at most once a second, without fsync', () => {
  const { during } = record()
  during({ type: 'tool_started', position: 1, tool: sampleTool(), attributes: {}, atMs: T0 })
  expect(during({ ...LINES, readOffset: 10, atMs: T0 + 100 })).toEqual(['told tool_lines'])
  expect(during({ ...LINES, readOffset: 20, atMs: T0 + 900 })).toEqual(['told tool_lines'])
  expect(during({ ...LINES, readOffset: 30, atMs: T0 + 1001 })).toEqual(['write', 'told tool_lines'])
  expect(during({ type: 'tick', atMs: T0 + 1500 })).toEqual(['told tick'])
})

test('an observer that throws stops nobody', () => {
  const told: string[] = []
  const { log, store } = record({
    observers: [
      {
        observe() {
          throw new Error('broken')
        },
      },
      { observe: (_, event) => void told.push(event.type) },
    ],
  })
  store.dispatch({ type: 'notice', text: 'x', atMs: T0 })
  expect(told).toEqual(['restore_started', 'notice'])
  expect(log).toContain('observer error broken')
  expect(store.state.notices).toEqual(['x'])
})

test('a write that fails stops nothing, is told, and the next event tries again', () => {
  let broken = true
  const written: RestoreState[] = []
  const { store, log } = record({
    write: state => {
      if (broken) throw new Error('ENOSPC')
      written.push(state)
    },
  })
  store.dispatch({ type: 'attempt_started', atMs: T0 })
  expect(log.filter(entry => entry === 'write error ENOSPC')).toHaveLength(2)
  expect(log).toContain('told attempt_started')
  broken = false
  store.dispatch({ type: 'run_begun', run: runOf('1-fetch'), atMs: T0 })
  expect(written).toEqual([store.state])
})

test('time in which the agent itself did not run is no stall', () => {
  const { store } = record()
  const clock = vi.spyOn(performance, 'now')
  onTestFinished(() => clock.mockRestore())
  const atMonotonicMs = performance.now()
  const after = (seconds: number, type: 'tick' | 'attempt_started' = 'tick') => {
    clock.mockReturnValue(atMonotonicMs + seconds * 1000)
    store.dispatch({ type, atMs: T0 + seconds * 1000 })
    return store.state.progress
  }
  after(0, 'attempt_started')
  store.dispatch({ type: 'phase_started', atMs: T0, phase: 'preparing_backup', position: 0 })
  const threshold = store.state.progress.stallThresholdMs / 1000
  for (let second = 1; second < threshold - 30; second++) after(second)
  // Frozen for two hours; then, once more, for a minute.
  expect(after(threshold + 7200)).toMatchObject({ stalled: false, lastProgressAtMs: T0 })
  expect(after(threshold + 7260)).toMatchObject({ stalled: false })
  for (let second = 1; second <= 40; second++) after(threshold + 7260 + second)
  expect(store.state.progress).toMatchObject({ stalled: true })
})

describe('the file', () => {
  test('is replaced as a whole, readable by its owner alone, without what is on its way out', () => {
    const folder = scratch()
    const path = join(folder, 'state.json')
    writeStateFile(path, sampleState(), true)
    writeStateFile(path, sampleState({ attempt: 7 }), false)
    expect(readdirSync(folder)).toEqual(['state.json'])
    const { endedSpans: _, ...persisted } = sampleState({ attempt: 7 })
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(persisted)
  })

  test('that cannot be written throws', () => {
    const folder = scratch()
    mkdirSync(join(folder, 'state.json'))
    expect(() => writeStateFile(join(folder, 'state.json'), sampleState(), true)).toThrow(/EISDIR|ENOTEMPTY|EEXIST/)
  })
})
