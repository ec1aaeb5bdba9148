/**
 * A transcript played through the estimator, and how wrong what it showed was.
 *
 * Truth is 100 t / T. Errors are |shown - truth| in points, weighted by the time they stood; what is not known is shown
 * as nothing, and counts as 0.
 */
import { advanceProgress, initialProgress, viewProgress } from '../../src/progress/estimator.ts'
import type { Progress } from '../../src/progress/progress.ts'
import type { Transcript } from './transcript.ts'

/** [ms, percent, MyHoard's, seconds to the end]; null is unknown. */
export type Sample = readonly [number, number | null, number | null, number | null]

export interface Score {
  name: string
  seconds: number
  /** Points. These, and what is said of the ETA, are null where the run did not succeed: nobody knows its true end. */
  meanError: number | null
  maxError: number | null
  myhoardMeanError: number | null
  myhoardMaxError: number | null
  longestPlateauSeconds: number
  at100BeforeEndSeconds: number
  /** No change of percent, no quiet mark and no stall mark. */
  longestSilenceSeconds: number
  /** Of the whole run (0.1: a tenth); null also without an ETA. */
  etaError25: number | null
  etaError50: number | null
  etaError75: number | null
  /**
   * Shares of the time: an ETA was shown; of that, its range held the true end, and remaining was not wrong by a factor
   * of 2.
   */
  etaShown: number | null
  etaCoverage: number | null
  etaWithinFactor2: number | null
  /** Mean width of the range, of the remaining time that was said. */
  etaWidth: number | null
  succeeded: boolean
  /** When the run was marked as stalled, from its start; null where never. */
  stalledAfterSeconds: number | null
  highestPercent: number
  samples: Sample[]
}

const TICK_MS = 1000
/** A run that was cut goes on in silence until a watchdog must have seen it. */
const WATCH_ON_MS = 20 * 60_000

export function score(transcript: Transcript): Score {
  const { durationMs, inputs, succeeded, ended } = transcript
  let state = initialProgress()
  const samples: Sample[] = []
  const silence = { sinceMs: 0 as number | null, longestMs: 0 }
  const etaAt = new Map<number, number | null>()
  let stalledAtMs: number | null = null
  let lastEtaMs: number | null = null
  const eta = createEtaMeter(durationMs)
  const look = (atMs: number) => {
    const view = viewProgress(state, atMs)
    eta.look(atMs, view.eta)
    if (view.stalled) stalledAtMs ??= atMs
    const etaSeconds = view.eta === null ? null : (view.eta.atMs - atMs) / 1000
    for (const part of [25, 50, 75]) {
      if (atMs <= (durationMs * part) / 100) etaAt.set(part, view.eta === null ? null : view.eta.atMs)
    }
    const last = samples.at(-1)
    const moved = last === undefined || view.phasePercent !== last[1]
    if (silence.sinceMs !== null) silence.longestMs = Math.max(silence.longestMs, atMs - silence.sinceMs)
    if (view.quietSinceMs !== null || view.stalled) silence.sinceMs = null
    else if (moved) silence.sinceMs = atMs
    else silence.sinceMs ??= atMs
    if (!moved && view.scanPercent === last[2] && (view.eta?.atMs ?? null) === lastEtaMs) return
    lastEtaMs = view.eta?.atMs ?? null
    samples.push([atMs, view.phasePercent, view.scanPercent, etaSeconds])
  }
  let tickMs = TICK_MS
  const tickUntil = (atMs: number) => {
    for (; tickMs <= atMs; tickMs += TICK_MS) {
      state = advanceProgress(state, { type: 'tick' }, tickMs)
      look(tickMs)
    }
  }
  for (const { atMs, input } of inputs) {
    tickUntil(atMs - 1)
    state = advanceProgress(state, input, atMs)
    if (atMs < durationMs) look(atMs)
  }
  tickUntil(durationMs - 1)
  const longestSilenceMs = Math.max(silence.longestMs, silence.sinceMs === null ? 0 : durationMs - silence.sinceMs)
  const highestPercent = Math.max(0, ...samples.map(sample => sample[1] ?? 0))
  const before = samples.filter(sample => sample[0] < durationMs)
  const errors = (column: 1 | 2) => (succeeded ? errorOf(before, column, durationMs) : { mean: null, max: null })
  const [ours, theirs] = [errors(1), errors(2)]
  if (succeeded) {
    state = advanceProgress(state, { type: 'passed' }, durationMs)
    look(durationMs)
  } else if (!ended) {
    const until = durationMs + WATCH_ON_MS
    while (stalledAtMs === null && tickMs < until) tickUntil(tickMs)
  }
  const spans = spansOf(before, durationMs)
  const etaScore = succeeded ? eta.score() : NO_ETA
  return {
    name: transcript.name,
    seconds: durationMs / 1000,
    meanError: ours.mean,
    maxError: ours.max,
    myhoardMeanError: theirs.mean,
    myhoardMaxError: theirs.max,
    longestPlateauSeconds: Math.max(0, ...spans.map(([from, to]) => to - from)) / 1000,
    at100BeforeEndSeconds: secondsAt100(before, durationMs),
    longestSilenceSeconds: longestSilenceMs / 1000,
    etaError25: succeeded ? etaError(etaAt.get(25), durationMs) : null,
    etaError50: succeeded ? etaError(etaAt.get(50), durationMs) : null,
    etaError75: succeeded ? etaError(etaAt.get(75), durationMs) : null,
    ...etaScore,
    succeeded,
    stalledAfterSeconds: stalledAtMs === null ? null : stalledAtMs / 1000,
    highestPercent,
    samples: succeeded ? samples : before,
  }
}

type EtaScore = Pick<Score, 'etaShown' | 'etaCoverage' | 'etaWithinFactor2' | 'etaWidth'>
const NO_ETA: EtaScore = { etaShown: null, etaCoverage: null, etaWithinFactor2: null, etaWidth: null }

/** Weighs every ETA by the time for which it stood. */
function createEtaMeter(durationMs: number): { look(atMs: number, eta: Progress['eta']): void; score(): EtaScore } {
  let last: { atMs: number; eta: Progress['eta'] } = { atMs: 0, eta: null }
  const sums = { shown: 0, covered: 0, within: 0, width: 0 }
  const add = (untilMs: number) => {
    const { atMs, eta } = last
    const ms = Math.min(untilMs, durationMs) - atMs
    if (eta === null || ms <= 0) return
    const [said, remaining] = [eta.atMs - atMs, durationMs - atMs]
    sums.shown += ms
    if (eta.earliestMs <= durationMs && durationMs <= eta.latestMs) sums.covered += ms
    if (said <= 2 * remaining && remaining <= 2 * said) sums.within += ms
    sums.width += (ms * (eta.latestMs - eta.earliestMs)) / Math.max(1, said)
  }
  return {
    look(atMs, eta) {
      add(atMs)
      last = { atMs, eta }
    },
    score() {
      add(durationMs)
      const ofShown = (sum: number) => (sums.shown === 0 ? null : sum / sums.shown)
      return {
        etaShown: sums.shown / durationMs,
        etaCoverage: ofShown(sums.covered),
        etaWithinFactor2: ofShown(sums.within),
        etaWidth: ofShown(sums.width),
      }
    },
  }
}

/** Remaining said against remaining true is end said against end true. */
function etaError(saidMs: number | null | undefined, durationMs: number): number | null {
  return saidMs === null || saidMs === undefined ? null : Math.abs(saidMs - durationMs) / durationMs
}

/** Time-weighted mean, and maximum, of |value - 100 t / T| of a value that stands until the next sample. */
function errorOf(samples: readonly Sample[], column: 1 | 2, durationMs: number): { mean: number; max: number } {
  let area = 0
  let max = 0
  samples.forEach((sample, i) => {
    const from = (100 * sample[0]) / durationMs
    const to = (100 * (samples[i + 1]?.[0] ?? durationMs)) / durationMs
    const value = sample[column] ?? 0
    const [a, b] = [value - from, value - to]
    area += a * b < 0 ? (a * a + b * b) / 2 : (Math.abs(a + b) / 2) * (to - from)
    max = Math.max(max, Math.abs(a), Math.abs(b))
  })
  return { mean: area / 100, max }
}

/** Times between which our percent stood still. */
function spansOf(samples: readonly Sample[], durationMs: number): [number, number][] {
  const changes = samples.filter((sample, i) => i === 0 || sample[1] !== samples[i - 1]![1]).map(sample => sample[0])
  return changes.map((from, i) => [from, changes[i + 1] ?? durationMs])
}

function secondsAt100(samples: readonly Sample[], durationMs: number): number {
  return spansOf(samples, durationMs)
    .filter(([from]) => (samples.findLast(sample => sample[0] <= from)?.[1] ?? 0) >= 100)
    .reduce((sum, [from, to]) => sum + (to - from) / 1000, 0)
}
