import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { RestoreError } from '../../../src/errors.ts'
import type { RestoreContext } from '../../../src/restore/context.ts'
import { watch } from '../../../src/restore/coordinator.ts'
import type { RestoreEvent } from '../../../src/restore/state/state.ts'
import { sampleOptions, sampleState, T0 } from '../../support/samples.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function start(stallAction: 'warn' | 'fail', stalled: boolean) {
  const events: RestoreEvent[] = []
  const aborts: RestoreError[] = []
  const state = sampleState({ phase: 'preparing_backup', step: 'redo_apply' })
  const progress = { ...state.progress, stalled, lastProgressAtMs: T0 - 90_000, activity: 'dead' as const }
  const stop = watch({
    options: sampleOptions({ stallAction }),
    store: { state: { ...state, progress }, dispatch: event => void events.push(event) },
    now: () => T0,
    abort: reason => void aborts.push(reason),
  } as Partial<RestoreContext> as RestoreContext)
  return { events, aborts, stop }
}

test('it ticks once a second until it is stopped', () => {
  const { events, stop } = start('warn', true)
  vi.advanceTimersByTime(3000)
  expect(events).toEqual(Array.from({ length: 3 }, () => ({ type: 'tick', atMs: T0 })))
  stop()
  vi.advanceTimersByTime(3000)
  expect(events).toHaveLength(3)
})

test('a stall ends the restore where that is asked for, and only there', () => {
  const failing = start('fail', true)
  const warning = start('warn', true)
  const moving = start('fail', false)
  vi.advanceTimersByTime(1000)
  expect(failing.aborts[0]).toMatchObject({ code: 'stalled', message: 'no progress for 90 s in redo_apply, dead' })
  expect(warning.aborts).toEqual([])
  expect(moving.aborts).toEqual([])
  for (const { stop } of [failing, warning, moving]) stop()
})
