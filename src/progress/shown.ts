/** What is shown of the estimate: a percentage that never goes back, and the ETA. */
import type { Progress } from './progress.ts'
import type { ProgressState } from './state.ts'

const LAST_BEFORE_PASSED = 99
const SLOWER_PER_POINTS = 4
const CATCH_UP = 0.05

/**
 * The next percentage, 0-99; `shown` is the one before it, null for none. Durations in seconds.
 *
 * The estimate rises and falls as rates are learned; the shown percentage must not fall. After `deltaSeconds` of work,
 * with `remainingSeconds` to come, a correct percentage p moves by fair = (100 - p) delta / (delta + remaining). Ahead
 * of the estimate it moves slower, the slower the further ahead, but it does move. Behind the estimate it also closes
 * the gap within a twentieth of the run. Only the coordinator sets 100, after its checks.
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

/** No ETA in the first seconds of work, and none in the last. */
const LEAST_SECONDS = 3
const LEAST_REMAINING_SECONDS = 2
/** Where more than this share of what remains is guessed, the ETA may be wrong by a factor of 2. */
const MOST_GUESSED = 0.9

/**
 * When the restore is expected to end. Null where it could be wrong by a factor of 2: at the very beginning and end,
 * and while nearly all that remains is guessed; null too while the tool is stalled. The range holds the true end in at
 * least four of five cases (docs/progress.md), and is wider where more is guessed.
 */
export function etaOf(state: ProgressState, nowMs: number, stalled: boolean): Progress['eta'] {
  const remaining = state.restoreRemainingSeconds
  if (remaining === null || stalled || state.lastProgressAtMs === null) return null
  if (state.restoreSeconds < LEAST_SECONDS || remaining < LEAST_REMAINING_SECONDS) return null
  const guessed = Math.min(1, state.guessedSeconds / remaining)
  if (guessed > MOST_GUESSED) return null
  // With samples, no evidence means that no work was done. Without them, a silent tool may have done half of it.
  const least = state.sample === null ? 500 : 1000
  const at = (seconds: number) =>
    Math.round(Math.max(state.lastProgressAtMs! + 1000 * seconds, nowMs + least * seconds))
  return {
    atMs: at(remaining),
    earliestMs: at(remaining * (0.75 - 0.3 * guessed)),
    latestMs: at(remaining * (1.5 + 0.7 * guessed)),
  }
}
