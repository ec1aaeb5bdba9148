import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Look, renderFrame } from '../../../src/cli/views/frame.ts'
import { displayWidth } from '../../../src/cli/views/text-line.ts'
import { addToTimeline, type Timeline } from '../../../src/cli/views/timeline.ts'
import { PHASES, STEPS, type Step } from '../../../src/phases.ts'
import type { Plan } from '../../../src/restore/plan/plan.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { bodyOf, samplePlan, sampleState, T0 } from './sample-state.ts'

beforeAll(() => {
  process.env.TZ = 'UTC'
})

const MINUTE = 60_000
const LOOK: Look = { width: 99, height: 29, color: false, unicode: true }

/** The frame after these states, a moment after the last one. */
function frame(states: readonly RestoreState[], look: Partial<Look> = {}, laterMs = 2_000): string[] {
  let timeline: Timeline | null = null
  for (const state of states) timeline = addToTimeline(timeline, bodyOf(state))
  const last = states.at(-1)!
  return renderFrame(bodyOf(last), timeline!, last.updatedAtMs + laterMs, { ...LOOK, ...look })
}

const inspected = sampleState({ updatedAtMs: T0 + 1_000 })
const extracting = (elapsedMs: number, readBytes: number, changes = {}) =>
  sampleState({
    updatedAtMs: T0 + 1_000 + elapsedMs,
    plan: samplePlan(),
    chainLength: 1,
    position: 1,
    phase: 'restoring_basebackup',
    phaseStartedAtMs: T0 + 1_000,
    source: { readBytes, totalBytes: 56e9 },
    ...changes,
  })
const preparing = (elapsedMs: number, changes: Parameters<typeof sampleState>[0] = {}) =>
  sampleState({
    updatedAtMs: T0 + 12 * MINUTE + elapsedMs,
    plan: samplePlan(),
    chainLength: 1,
    position: 1,
    phase: 'preparing_backup',
    phaseStartedAtMs: T0 + 12 * MINUTE,
    step: 'redo_apply',
    ...changes,
  })
const now = T0 + 12 * MINUTE + 31 * MINUTE
const working = preparing(31 * MINUTE, {
  progress: {
    phasePercent: 43.29,
    restorePercent: 61.2,
    eta: { atMs: now + 31 * MINUTE, earliestMs: now + 25 * MINUTE, latestMs: now + 45 * MINUTE },
  },
})
const BEFORE = [inspected, extracting(0, 0), extracting(11 * MINUTE, 56e9)]

describe('one backup', () => {
  test('nothing known yet: no number is made up', () => {
    expect(frame([sampleState()], { width: 60 })).toEqual([
      'restore · 2s',
      ' ▸ inspect         2s',
      ' · extract',
      ' · prepare',
      ' · finalize',
      '',
      ' ┄┄┄┄┄┄┄┄┄┄      --  inspect  moved 2s ago',
    ])
  })

  test('apply says as of when the data are, once it knows', () => {
    const binlogs = { files: [], bytes: 9, transactions: 7, target: 'the end', stop: {} } as unknown as Plan['binlogs']
    const applying = (dataAsOfMs: number | null, phase: RestoreState['phase'] = 'applying_binlogs') =>
      preparing(31 * MINUTE, {
        phase,
        step: null,
        plan: samplePlan(1, { binlogs }),
        binlogs: { appliedBytes: 4, transactions: 3, dataAsOfMs, readAtMs: null },
        progress: { phasePercent: 44.4 },
      })
    const asOf = T0 - 5 * MINUTE
    expect(frame([applying(asOf)]).at(-1)).toContain('44.4 %  apply binlogs  data as of 2026-11-23T01:55:00Z')
    expect(frame([applying(null)]).at(-1)).not.toContain('as of')
    expect(frame([applying(asOf, 'finalizing')]).at(-1)).not.toContain('as of')
    expect(frame([applying(asOf)], { width: 60 }).at(-1)).toContain('data as of 2026-11-23T01:55:00Z')
    expect(frame([applying(asOf)], { width: 36 }).at(-1)!.length).toBeLessThanOrEqual(36)
  })

  test('extract, with its rate', () => {
    const states = [inspected, extracting(0, 0), extracting(1_000, 10 * 1024 ** 2), extracting(2_000, 20 * 1024 ** 2)]
    expect(frame(states, {}, 0).at(-1)).toBe(' ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄      --  extract  10.0 MiB/s  moved 0s ago')
  })

  test('prepare: which phase, how far, how long still', () => {
    expect(frame([...BEFORE, working])).toEqual([
      'restore → /var/lib/mysql · 61.2 % of all · 43m 02s',
      ' ✓ inspect         1s',
      ' ✓ extract    11m 59s   52.2 GiB read',
      ' ▸ prepare    31m 02s',
      ' · finalize',
      '',
      ' ━━━━━━──────────  43.2 %  redo apply  ends in 30m (24m–44m) at 03:14  moved 2s ago',
    ])
  })

  test('narrow terminals keep what matters', () => {
    expect(frame([...BEFORE, working], { width: 59 }).at(-1)).toBe(
      ' ━━━━──────  43.2 %  redo apply  ends in 30m  moved 2s ago',
    )
    expect(frame([...BEFORE, working], { width: 39 }).at(-1)).toBe(' 43.2 %  redo apply  ends in 30m')
    expect(frame([...BEFORE, working], { width: 19 })).toEqual([
      '61.2 % of all',
      '✓ inspect       1s',
      '✓ extract  11m 59s',
      '▸ prepare  31m 02s',
      '· finalize',
      '',
      '43.2 %  ends in 30m',
    ])
    expect(frame([...BEFORE, working], { width: 10 }).at(-1)).toBe('43.2 %')
  })

  test('few rows: the live line stays', () => {
    expect(frame([...BEFORE, working], { height: 3, width: 59 })).toEqual([
      ' ▸ prepare    31m 02s',
      ' · finalize',
      ' ━━━━──────  43.2 %  redo apply  ends in 30m  moved 2s ago',
    ])
  })

  test('ASCII where the locale has no more', () => {
    const lines = frame([...BEFORE, working], { unicode: false })
    expect(lines.join('')).toMatch(/^[\x20-\x7e]*$/)
    expect(lines.at(-1)).toBe(' ######----------  43.2 %  redo apply  ends in 30m (24m-44m) at 03:14  moved 2s ago')
  })

  test('colour changes no character', () => {
    const colored = frame([...BEFORE, working], { color: true })
    expect(colored.join('')).toContain('\x1b[36m')
    expect(colored.map(stripVTControlCharacters)).toEqual(frame([...BEFORE, working]))
  })

  test('an ETA that has passed is not shown as 0', () => {
    const late = preparing(MINUTE, { progress: { phasePercent: 99, eta: { atMs: 5, earliestMs: 4, latestMs: 6 } } })
    expect(frame([late]).at(-1)).toContain('99.0 %  redo apply  ends later than expected')
  })
})

describe('worries', () => {
  const quiet = { ...working.progress, quietSinceMs: now - 128_000, activity: 'working' as const }
  const used = { ...working.counters, cpuSeconds: { preparing_backup: 3 } }

  test.each([
    [59, ' quiet for 2m 10s, still using CPU'],
    [30, 'quiet for 2m 10s, using CPU'],
    [19, 'quiet for 2m 10s'],
  ])('quiet, on %d columns', (width, expected) => {
    expect(frame([...BEFORE, working, { ...working, counters: used, progress: quiet }], { width }).at(-1)).toBe(
      expected,
    )
  })

  test('I/O is told from CPU, and from what cannot be seen', () => {
    const io = { ...working.counters, ioWriteBytes: { preparing_backup: 3 } }
    const last = (state: RestoreState) => frame([...BEFORE, working, state]).at(-1)
    expect(last({ ...working, counters: io, progress: quiet })).toBe(' quiet for 2m 10s, still doing I/O')
    expect(last({ ...working, progress: { ...quiet, activity: 'dead' } })).toBe(' quiet for 2m 10s, no CPU, no I/O')
    expect(last({ ...working, progress: { ...quiet, activity: 'unknown' } })).toContain('cannot be seen from here')
  })

  test('stalled, with what to do', () => {
    const stalled = { ...quiet, stalled: true, activity: 'flooding' as const, lastProgressAtMs: now - 31 * MINUTE }
    expect(frame([...BEFORE, { ...working, progress: stalled }]).slice(-3)).toEqual([
      ' ━━━━━━──────────  43.2 %  redo apply  ends in 30m (24m–44m) at 03:14',
      ' STALLED: no progress for 31m 02s (limit 30m 00s), the tool repeats itself',
      ' hint: it may be short of memory: end it with Ctrl-C and give a larger --use-memory',
    ])
    expect(frame([{ ...working, progress: stalled }], { width: 19 }).slice(-2)).toEqual([
      'STALLED for 31m 02s',
      'short of memory?',
    ])
  })

  test('an end after the deadline', () => {
    const plan = samplePlan(1, { deadlineMs: now + 6 * MINUTE })
    expect(frame([{ ...working, plan }]).at(-1)).toBe(' ends 25m after the deadline 02:49')
  })
})

describe('a chain', () => {
  const at = (phase: RestoreState['phase'], position: number, minute: number, changes = {}) =>
    sampleState({
      phase,
      position,
      plan: samplePlan(4),
      chainLength: 4,
      phaseStartedAtMs: T0 + minute * MINUTE,
      updatedAtMs: T0 + minute * MINUTE,
      ...changes,
    })
  const upTo3 = [
    at('restoring_basebackup', 1, 0),
    at('preparing_backup', 1, 10),
    at('restoring_basebackup', 2, 15),
    at('preparing_backup', 2, 20),
    at('restoring_basebackup', 3, 22),
  ]

  test('only the element now worked on is told by phase', () => {
    expect(frame(upTo3).slice(0, 7)).toEqual([
      'restore → /var/lib/mysql · element 3 of 4 · 22m 02s',
      ' ✓ inspect',
      ' ✓ elements 1-2        22m 00s',
      ' ▸ element 3 extract        2s',
      ' · element 3 prepare',
      ' · element 4',
      ' · finalize',
    ])
  })

  test('after the last element', () => {
    expect(frame([...upTo3, at('finalizing', 4, 30)]).slice(0, 4)).toEqual([
      'restore → /var/lib/mysql · element 4 of 4 · 30m 02s',
      ' ✓ inspect',
      ' ✓ elements 1-4',
      ' ▸ finalize            2s',
    ])
  })

  test('a later attempt says so, and its durations are its own', () => {
    const again = at('restoring_basebackup', 1, 40, { attempt: 2 })
    expect(frame([...upTo3, again]).slice(0, 3)).toEqual([
      'restore → /var/lib/mysql · element 1 of 4 · attempt 2 · 40m 02s',
      ' ✓ inspect',
      ' ▸ element 1 extract        2s',
    ])
  })
})

describe('the end', () => {
  test('success: every phase with its duration, and no live line', () => {
    const end = preparing(31 * MINUTE, { status: 'succeeded', phase: 'completed' })
    expect(frame([...BEFORE, preparing(0), end])).toEqual([
      'restore → /var/lib/mysql · 43m 00s',
      ' ✓ inspect         1s',
      ' ✓ extract    11m 59s   52.2 GiB read',
      ' ✓ prepare    31m 00s',
      ' ✓ finalize',
    ])
  })

  test('failure: where, and the code', () => {
    const error = { code: 'disk_full', message: 'm', lastWords: [], hint: 'h' } as const
    expect(frame([...BEFORE, preparing(0), preparing(MINUTE, { status: 'failed', phase: 'failed', error })])).toEqual([
      'restore → /var/lib/mysql · 13m 00s',
      ' ✓ inspect         1s',
      ' ✓ extract    11m 59s   52.2 GiB read',
      ' ✗ prepare     1m 00s   disk_full',
      ' · finalize',
    ])
  })
})

describe('whatever the state', () => {
  const percent = fc.option(fc.double({ min: 0, max: 100, noNaN: true }))
  const time = fc.integer({ min: T0 - 1e9, max: T0 + 1e9 })
  const states = fc.record({
    phase: fc.constantFrom(...PHASES),
    step: fc.option(fc.constantFrom<Step>(...STEPS.preparing_backup, ...STEPS.finalizing)),
    status: fc.constantFrom('running', 'succeeded', 'failed', 'cancelled'),
    chainLength: fc.nat(12),
    position: fc.nat(12),
    attempt: fc.nat(3),
    updatedAtMs: time,
    phaseStartedAtMs: time,
    plan: fc.option(fc.record({ elements: fc.integer({ min: 1, max: 5 }), datadir: fc.string({ unit: 'binary' }) })),
    progress: fc.record({
      phasePercent: percent,
      restorePercent: percent,
      eta: fc.option(fc.record({ atMs: time, earliestMs: time, latestMs: time })),
      lastProgressAtMs: time,
      quietSinceMs: fc.option(time),
      activity: fc.constantFrom('progressing', 'working', 'flooding', 'dead', 'unknown'),
      stalled: fc.boolean(),
    }),
  })

  test('no line is wider than the terminal, there are not too many, and 100 is not said early', () => {
    fc.assert(
      fc.property(
        fc.array(states, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 8, max: 140 }),
        fc.integer({ min: 2, max: 30 }),
        fc.boolean(),
        (list, width, height, unicode) => {
          const sequence = list.map(({ plan, ...rest }) =>
            sampleState({
              ...rest,
              plan: plan && samplePlan(plan.elements, { datadir: plan.datadir }),
            } as Partial<RestoreState>),
          )
          const lines = frame(sequence, { width, height, unicode })
          for (const line of lines) expect(displayWidth(line), line).toBeLessThanOrEqual(width)
          if (sequence.at(-1)!.status === 'running') expect(lines.length).toBeLessThanOrEqual(height)
          const shown = sequence.at(-1)!.progress.phasePercent
          if (shown !== null && shown < 100) expect(lines.at(-1)).not.toMatch(/100 %/)
        },
      ),
      { numRuns: 500 },
    )
  })
})
