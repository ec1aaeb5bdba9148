import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { elapsedSoFar, secondsOf } from '../../src/progress/elapsed.ts'
import { advanceProgress, initialProgress, type ProgressState, viewProgress } from '../../src/progress/estimator.ts'
import type { ProgressInput, WorkPart } from '../../src/progress/progress.ts'
import { NO_FACTS } from '../../src/progress/state.ts'
import { anyInputs, onePrepare } from './arbitrary-inputs.ts'

const MB = 1_000_000
const ELEMENTS = 3

type Run = WorkPart & { inputs: [ProgressInput, afterMs: number][] }

const tool = (event: Extract<ProgressInput, { type: 'tool' }>['event']): ProgressInput => ({ type: 'tool', event })

/**
 * A chain as runs of tools: 40 s of bringing and 30 s of preparing a full backup, half of it for incrementals; 10 s of
 * moving back.
 */
function chain(): Run[] {
  const runs: Run[] = []
  for (let position = 1; position <= ELEMENTS; position++) {
    const seconds = position === 1 ? 10 : 5
    const redo = 100 * MB * seconds
    const facts = { ...NO_FACTS, sourceBytes: redo, hasMoveBack: position === ELEMENTS, moveBackFiles: 10 }
    const known = { lastLsn: redo, redoBytes: redo, dataFileBytes: redo }
    const bring: Run['inputs'] = [
      [{ type: 'element', position, facts }, 0],
      [{ type: 'phase', phase: 'restoring_basebackup' }, 0],
    ]
    for (let i = 1; i <= 4 * seconds; i++) bring.push([{ type: 'source', readBytes: (redo * i) / 4 / seconds }, 1000])
    bring.push([{ type: 'passed' }, 0])
    runs.push({ position, part: 'fetch', inputs: bring })
    const prepare: Run['inputs'] = [
      [{ type: 'facts', facts: known }, 0],
      [{ type: 'phase', phase: 'preparing_backup' }, 0],
      [tool({ type: 'checkpoint', lsn: 0 }), 0],
    ]
    for (let i = 1; i <= seconds; i++) prepare.push([tool({ type: 'redo_scanned', lsn: 100 * MB * i }), 1000])
    prepare.push([tool({ type: 'end_of_log', lsn: redo }), 0])
    for (let i = 0; i < 2 * seconds; i++)
      prepare.push([tool({ type: 'pages_left', pages: 1000 * (2 * seconds - i), lsn: null, endLsn: null }), 1000])
    prepare.push([tool({ type: 'completed_ok' }), 0])
    if (position < ELEMENTS) prepare.push([{ type: 'passed' }, 0])
    runs.push({ position, part: 'prepare', inputs: prepare })
  }
  const moveBack: Run['inputs'] = [[{ type: 'step', step: 'move_back' }, 0]]
  for (let i = 0; i < 10; i++) moveBack.push([tool({ type: 'file_done' }), 1000])
  moveBack.push([tool({ type: 'completed_ok' }), 0], [{ type: 'passed' }, 0])
  runs.push({ position: ELEMENTS, part: 'move_back', inputs: moveBack })
  return runs
}

const FINALIZE: Run['inputs'] = [
  [{ type: 'phase', phase: 'finalizing' }, 0],
  [{ type: 'step', step: 'verify' }, 500],
]

/** What a new attempt begins with that has to begin in the middle of an element. */
function beginning(runs: readonly Run[], from: number): Run['inputs'] {
  const next = runs[from]
  if (next?.part === 'fetch') return []
  const { inputs } = runs.find(run => run.part === 'fetch' && run.position === (next?.position ?? ELEMENTS))!
  const element = inputs[0]!
  return next?.part === 'move_back' ? [element, [{ type: 'phase', phase: 'preparing_backup' }, 0]] : [element]
}

interface Played {
  state: ProgressState
  atMs: number
  percents: number[]
}

function play(inputs: Run['inputs'], from?: Played): Played {
  const begun = advanceProgress(initialProgress(), { type: 'restart', elements: ELEMENTS }, 0)
  let { state, atMs } = from ?? { state: begun, atMs: 0 }
  const percents: number[] = []
  for (const [input, afterMs] of inputs) {
    atMs += afterMs
    state = advanceProgress(state, input, atMs)
    percents.push(viewProgress(state, atMs).restorePercent ?? 0)
  }
  return { state, atMs, percents }
}

const all = (runs: readonly Run[]): Run['inputs'] => runs.flatMap(({ inputs }) => inputs)
const restart = (kept: readonly WorkPart[]): ProgressInput => ({ type: 'restart', elements: ELEMENTS, kept })

describe('an agent died and the next begins a new attempt', () => {
  const runs = chain()

  test.each(runs.map((_, i) => i + 1))('%s of 7 runs stand: it goes on from about where it was', stand => {
    const whole = play([...all(runs), ...FINALIZE])
    const before = play(all(runs.slice(0, stand)))
    const rest = play(
      [[restart(runs.slice(0, stand)), 60_000], ...beginning(runs, stand), ...all(runs.slice(stand)), ...FINALIZE],
      before,
    )
    const expected = whole.percents.slice(before.percents.length)
    const shown = rest.percents.slice(-expected.length)
    for (const [i, percent] of shown.entries()) {
      if (percent > 0) expect(Math.abs(percent - expected[i]!)).toBeLessThan(7)
    }
    // The minute in which no agent ran was no work.
    expect(rest.state.restoreSeconds).toBeCloseTo(whole.state.restoreSeconds, 6)
    expect(rest.percents).toEqual([...rest.percents].sort((a, b) => a - b))
  })

  test('all but the last checks stand: nearly all is done', () => {
    const before = play(all(runs))
    const after = play([[restart(runs), 1000], ...beginning(runs, runs.length), ...FINALIZE], before)
    expect(viewProgress(after.state, after.atMs)).toMatchObject({ step: 'verify' })
    expect(after.percents.at(-1)).toBeGreaterThan(98)
    expect(after.percents.at(-1)).toBeLessThanOrEqual(99)
  })

  test('it begins where the last one saw it, not where prices from before any run put it', () => {
    // Two elements, then a prepare that is ten times slower than any price says, cut in its middle.
    const slow = runs[3]!.inputs.map(([input, afterMs]): Run['inputs'][number] => [input, 10 * afterMs])
    const before = play([...all(runs.slice(0, 3)), ...slow.slice(0, Math.floor(slow.length / 2))])
    const again: Run['inputs'] = [[restart(runs.slice(0, 3)), 1000], ...beginning(runs, 3), ...slow.slice(0, 4)]
    const after = play(again, before)
    expect(after.percents[0]).toBeGreaterThan(20)
    expect(Math.max(...after.percents)).toBeLessThan(before.percents.at(-1)!)
  })

  test('work that was cut is done again, and its seconds are forgotten', () => {
    const cut = runs[3]!.inputs
    const before = play([...all(runs.slice(0, 3)), ...cut.slice(0, cut.length - 2)])
    const whole = play(all(runs))
    const after = play([[restart(runs.slice(0, 2)), 1000], ...all(runs.slice(2))], before)
    expect(after.state.restoreSeconds).toBeCloseTo(whole.state.restoreSeconds, 6)
    // Truth when the second element begins again: 70 of 150.5 s; the elements to come are taken for smaller than they
    // are.
    expect(after.percents.find(percent => percent > 0)).toBeGreaterThan(35)
    expect(after.percents.find(percent => percent > 0)).toBeLessThan(62)
  })

  test('where nothing stands it begins at 0', () => {
    const before = play(all(runs.slice(0, 3)))
    const after = play([[restart([]), 1000], ...all(runs.slice(0, 1)).slice(0, 3)], before)
    expect(after.percents.at(-1)).toBeLessThan(3)
    expect(after.state.restoreSeconds).toBe(1)
  })

  test('what was seen of the full backup and of incrementals still prices the elements that come', () => {
    const before = play(all(runs.slice(0, 4)))
    const straightOn = play(runs[4]!.inputs.slice(0, 5), before)
    const again = play([[restart(runs.slice(0, 4)), 1000], ...runs[4]!.inputs.slice(0, 5)], before)
    expect(again.state.restoreRemainingSeconds).toBeCloseTo(straightOn.state.restoreRemainingSeconds!, 6)
    const twoLeft = play([[restart(runs.slice(0, 2)), 1000], ...runs[2]!.inputs.slice(0, 22)], before)
    // 20 s of 35 s of this one are left; another like 0.35 of the 70 s that the full one took.
    expect(twoLeft.state.restoreRemainingSeconds).toBeGreaterThan(0.35 * 70)
  })
})

describe('whatever came before', () => {
  const PARTS: WorkPart[] = [1, 2, 3, 4, 5].flatMap(position =>
    (['fetch', 'prepare', 'move_back'] as const).map(part => ({ position, part })),
  )

  test('what stands is what was credited to it, never more than was credited in all, and the rest is forgotten', () => {
    let seen = 0
    fc.assert(
      fc.property(fc.oneof(anyInputs, onePrepare), fc.subarray(PARTS), (inputs, parts) => {
        let state = initialProgress()
        let atMs = 1_800_000_000_000
        for (const { input, afterMs } of inputs) {
          atMs += afterMs
          state = advanceProgress(state, input, atMs)
        }
        const credited = elapsedSoFar(state)
        expect(secondsOf(credited)).toBeLessThanOrEqual(state.restoreSeconds * (1 + 1e-9) + 1e-9)
        const after = advanceProgress(state, { type: 'restart', elements: 5, kept: parts }, atMs)
        const kept = credited.filter(({ position, part }) =>
          parts.some(part2 => part2.position === position && part2.part === part),
        )
        expect(after.elapsed).toEqual(kept)
        expect(after.restoreSeconds).toBe(secondsOf(kept))
        expect(new Set(credited.map(({ position, part }) => `${position} ${part}`)).size).toBe(credited.length)
        // Said twice, as by an attempt that finds more to be done again than it knew of, it is the same.
        expect(advanceProgress(after, { type: 'restart', elements: 5, kept: parts }, atMs)).toEqual(after)
        const fresh = advanceProgress(initialProgress(), { type: 'restart', elements: 5 }, atMs)
        const { elapsed, restoreSeconds, restoreRemainingSeconds, guessedSeconds, shownRestore } = after
        const carried = { elapsed, restoreSeconds, restoreRemainingSeconds, guessedSeconds, shownRestore }
        expect(after).toEqual({ ...fresh, ...carried })
        if (restoreRemainingSeconds === null) {
          expect(shownRestore).toBeNull()
          return
        }
        // As long as it was seen to be, and no further than it was.
        seen += 1
        const whole = state.restoreSeconds + state.restoreRemainingSeconds!
        expect(restoreSeconds).toBeGreaterThan(0)
        expect(Math.abs(restoreSeconds + restoreRemainingSeconds - whole)).toBeLessThanOrEqual(1e-9 * whole)
        expect(shownRestore).toBeLessThanOrEqual(99)
        expect(shownRestore! * whole).toBeLessThanOrEqual(100 * state.restoreSeconds * (1 + 1e-9))
      }),
      { numRuns: 400 },
    )
    expect(seen).toBeGreaterThan(20)
  })
})
