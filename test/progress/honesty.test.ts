import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { advanceProgress, initialProgress, type ProgressState, viewProgress } from '../../src/progress/estimator.ts'
import type { Progress, ProgressInput } from '../../src/progress/progress.ts'
import { anyInputs, onePrepare, type Timed } from './arbitrary-inputs.ts'

const START_MS = 1_800_000_000_000
const RUNS = { numRuns: 400 }

interface Seen {
  input: ProgressInput
  atMs: number
  state: ProgressState
  view: Progress
}

function play(inputs: readonly Timed[], from = initialProgress(), startMs = START_MS): Seen[] {
  let state = deepFreeze(from)
  let atMs = startMs
  return inputs.map(({ input, afterMs }) => {
    atMs += afterMs
    state = deepFreeze(advanceProgress(state, input, atMs))
    return { input, atMs, state, view: viewProgress(state, atMs) }
  })
}

/** A state that changed in place would throw here, and a later input would have changed what was shown before. */
function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}

const pairs = <T>(all: readonly T[]): [T, T][] => all.slice(1).map((next, i) => [all[i]!, next])

describe('whatever comes, in whatever order', () => {
  test('numbers are null or in their range', () => {
    fc.assert(
      fc.property(anyInputs, inputs => {
        for (const { view, atMs } of play(inputs)) {
          for (const percent of [view.phasePercent, view.restorePercent, view.scanPercent]) {
            expect(percent === null || (percent >= 0 && percent <= 100), `${percent}`).toBe(true)
          }
          if (view.eta !== null) {
            expect(Number.isFinite(view.eta.earliestMs) && view.eta.earliestMs >= atMs).toBe(true)
            expect(view.eta.atMs).toBeGreaterThanOrEqual(view.eta.earliestMs)
            expect(view.eta.latestMs).toBeGreaterThanOrEqual(view.eta.atMs)
          }
          expect(view.stallThresholdMs).toBeGreaterThan(0)
          expect(Number.isFinite(view.lastProgressAtMs) && Number.isFinite(view.lastActivityAtMs)).toBe(true)
        }
      }),
      RUNS,
    )
  })

  test('percent never goes back: a phase within itself, the restore within an attempt', () => {
    fc.assert(
      fc.property(anyInputs, inputs => {
        for (const [before, now] of pairs(play(inputs))) {
          const { type } = now.input
          if (type === 'restart') continue
          expect(now.view.restorePercent ?? 0).toBeGreaterThanOrEqual(before.view.restorePercent ?? 0)
          if (type === 'phase' || type === 'element') continue
          expect(now.view.phasePercent ?? 0).toBeGreaterThanOrEqual(before.view.phasePercent ?? 0)
          if (before.view.phasePercent !== null) expect(now.view.phasePercent).not.toBeNull()
        }
      }),
      RUNS,
    )
  })

  test('100 only when our own checks have passed; of the restore only when it is completed', () => {
    fc.assert(
      fc.property(anyInputs, inputs => {
        let passed = false
        let completed = false
        for (const { input, view } of play(inputs)) {
          if (input.type === 'passed') passed = true
          if (input.type === 'phase' || input.type === 'element' || input.type === 'restart') passed = false
          if (input.type === 'restart') completed = false
          if (input.type === 'phase' && input.phase === 'completed') completed = true
          if (!passed) expect(view.phasePercent ?? 0).toBeLessThanOrEqual(99)
          if (!completed) expect(view.restorePercent ?? 0).toBeLessThanOrEqual(99)
        }
      }),
      RUNS,
    )
  })

  test('time alone moves nothing, nor does a tool in which nothing moves', () => {
    fc.assert(
      fc.property(anyInputs, fc.integer({ min: 1, max: 200 }), fc.nat(3_600_000), (inputs, repeats, afterMs) => {
        const last = play(inputs).at(-1)
        const state = last?.state ?? initialProgress()
        const before = viewProgress(state, last?.atMs ?? START_MS)
        const still = Array.from({ length: repeats }, (_, i): Timed => {
          const sample = state.sample ?? { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null }
          return { input: i % 2 === 0 ? { type: 'tick' } : { type: 'sample', sample }, afterMs }
        })
        for (const { view } of play(still, state, last?.atMs)) {
          expect(view.phasePercent).toBe(before.phasePercent)
          expect(view.restorePercent).toBe(before.restorePercent)
          expect(view.scanPercent).toBe(before.scanPercent)
          // Before anything has begun there is no such time.
          if (state.startedAtMs !== null) expect(view.lastProgressAtMs).toBe(before.lastProgressAtMs)
        }
      }),
      RUNS,
    )
  })

  test('stopped for an hour in mid-run, the tool goes on from where it was', () => {
    fc.assert(
      fc.property(onePrepare, fc.nat(119), (inputs, at) => {
        const seen = play(inputs)
        const cut = Math.min(at, seen.length - 1)
        const { state, atMs } = seen[cut]!
        fc.pre(state.sample !== null)
        const hour = 3_600_000
        const look = (ms: number): ProgressState =>
          advanceProgress(state, { type: 'sample', sample: state.sample! }, ms)
        const rest = inputs.slice(cut + 1)
        const straightOn = play(rest, look(atMs), atMs)
        const afterStop = play(rest, look(atMs + hour), atMs + hour)
        // Time that a clock took back before the stop is counted once, with the stop or without it not in the same
        // place.
        fc.pre(inputs.every(({ afterMs }) => afterMs >= 0))
        expect(afterStop.map(({ view }) => view.phasePercent)).toEqual(straightOn.map(({ view }) => view.phasePercent))
      }),
      RUNS,
    )
  })

  test('a state that was written and read again has the same future', () => {
    fc.assert(
      fc.property(anyInputs, fc.nat(119), (inputs, at) => {
        const whole = play(inputs)
        const cut = Math.min(at, whole.length)
        const until = cut === 0 ? initialProgress() : whole[cut - 1]!.state
        const again = JSON.parse(JSON.stringify(until)) as ProgressState
        expect(JSON.stringify(again)).toBe(JSON.stringify(until))
        const resumed = play(inputs.slice(cut), again, cut === 0 ? START_MS : whole[cut - 1]!.atMs)
        expect(resumed.map(({ view }) => view)).toEqual(whole.slice(cut).map(({ view }) => view))
      }),
      RUNS,
    )
  })

  test('the beginning of a run gives what the whole run gave until then', () => {
    fc.assert(
      fc.property(anyInputs, fc.nat(119), (inputs, length) => {
        const part = play(inputs.slice(0, length)).map(({ view }) => view)
        expect(part).toEqual(
          play(inputs)
            .slice(0, length)
            .map(({ view }) => view),
        )
      }),
      RUNS,
    )
  })
})

test('what is not known is null', () => {
  const [, , begun, scanned] = play([
    { input: { type: 'restart', elements: 1 }, afterMs: 0 },
    { input: { type: 'phase', phase: 'preparing_backup' }, afterMs: 0 },
    { input: { type: 'tool', event: { type: 'checkpoint', lsn: 1000 } }, afterMs: 500 },
    { input: { type: 'tool', event: { type: 'redo_scanned', lsn: 5_000_000 } }, afterMs: 15_000 },
  ])
  // No checkpoints file, no size of the redo: nobody knows where it ends.
  expect(begun!.view).toMatchObject({ phasePercent: null, restorePercent: null, scanPercent: null, eta: null })
  expect(scanned!.view).toMatchObject({ phasePercent: null, restorePercent: null, scanPercent: null, eta: null })
})
