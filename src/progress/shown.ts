/**
 * What is said: a percentage that never goes back, and when the restore is expected to end.
 */
import type { Progress } from './progress.ts'
import type { ProgressState } from './state.ts'

const LAST_BEFORE_PASSED = 99
const SLOWER_PER_POINTS = 4
const CATCH_UP = 0.05

/**
 * The new percentage, 0-99; `shown` null: first value. Durations in seconds.
 *
 * The estimate goes to and fro as rates are learned; what is shown may not go back. `deltaSeconds` of work were just
 * evidenced and `remainingSeconds` are left, so an honest pointer at p moves by its share of what is left to show:
 * fair = (100 - p) delta / (delta + remaining). Ahead of the estimate it moves slower than that, the slower the further
 * ahead, but never stands while work is done; behind it, it also closes the gap within a twentieth of the run.
 * Below 100 it ends at 99: 100 is said by the coordinator, after its checks.
 */
export function glide(
  shown: number | null,
  doneSeconds: number,
  remainingSeconds: number,
  deltaSeconds: number,
): number {
  const whole = doneSeconds + remainingSeconds
  const estimate = whole > 0 ? (100 * doneSeconds) / whole : 0
  if (shown === null) return Math.min(LAST_BEFORE_PASSED, estimate)
  if (deltaSeconds <= 0) return shown
  const fair = ((100 - shown) * deltaSeconds) / (deltaSeconds + remainingSeconds)
  const gap = estimate - shown
  const next =
    gap < 0
      ? shown + fair / (1 - gap / SLOWER_PER_POINTS)
      : Math.max(Math.min(estimate, shown + fair), shown + gap * -Math.expm1(-deltaSeconds / (CATCH_UP * whole)))
  return Math.max(shown, Math.min(LAST_BEFORE_PASSED, next))
}

/** Before so many seconds of work, and for so many at the end, an ETA means nothing. */
const LEAST_SECONDS = 3
const LEAST_REMAINING_SECONDS = 2
/** Beyond this share of guesses in what remains, the ETA may be wrong by a factor of 2. */
const MOST_GUESSED = 0.9

/**
 * When the restore is expected to end. Absent where it could be wrong by a factor of 2: at the very beginning and end,
 * and while most of what remains is priced by a guess; absent too while the tool is stalled. The range holds the true
 * end in four of five cases (docs/progress.md has the measured share); it is wider where more is guessed.
 */
export function etaOf(state: ProgressState, nowMs: number, stalled: boolean): Progress['eta'] {
  const remaining = state.restoreRemainingSeconds
  if (remaining === null || stalled || state.lastProgressAtMs === null) return null
  if (state.restoreSeconds < LEAST_SECONDS || remaining < LEAST_REMAINING_SECONDS) return null
  const guessed = Math.min(1, state.guessedSeconds / remaining)
  if (guessed > MOST_GUESSED) return null
  // Where the tool is looked at, no evidence means that nothing was done. Where only lines tell, a quiet tool may be
  // half through what it is quiet about; but time alone ends nothing.
  const least = state.sample === null ? 500 : 1000
  const at = (seconds: number) =>
    Math.round(Math.max(state.lastProgressAtMs! + 1000 * seconds, nowMs + least * seconds))
  return {
    atMs: at(remaining),
    earliestMs: at(remaining * (0.75 - 0.3 * guessed)),
    latestMs: at(remaining * (1.5 + 0.7 * guessed)),
  }
}
