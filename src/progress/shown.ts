/**
 * From the estimate, which goes to and fro as rates are learned, to the percentage that is shown, which never goes back.
 *
 * `delta` seconds of work were just evidenced and `left` are left, so an honest pointer at p moves on by its share of what
 * is left to show: fair = (100 - p) delta / (delta + left). Ahead of the estimate it moves slower than that, the slower
 * the further ahead, but never stands while work is done; behind it, it also closes the gap within a twentieth of the run.
 * Below 100 it ends at 99: 100 is said by the coordinator, after its checks.
 */
const LAST_BEFORE_PASSED = 99
const SLOWER_PER_POINTS = 4
const CATCH_UP = 0.05

/** The new percentage, 0-99; `shown` null: first value. Durations in seconds. */
export function glide(shown: number | null, doneSeconds: number, leftSeconds: number, deltaSeconds: number): number {
  const whole = doneSeconds + leftSeconds
  const estimate = whole > 0 ? (100 * doneSeconds) / whole : 0
  if (shown === null) return Math.min(LAST_BEFORE_PASSED, estimate)
  if (deltaSeconds <= 0) return shown
  const fair = ((100 - shown) * deltaSeconds) / (deltaSeconds + leftSeconds)
  const gap = estimate - shown
  const next =
    gap < 0
      ? shown + fair / (1 - gap / SLOWER_PER_POINTS)
      : Math.max(Math.min(estimate, shown + fair), shown + gap * -Math.expm1(-deltaSeconds / (CATCH_UP * whole)))
  return Math.max(shown, Math.min(LAST_BEFORE_PASSED, next))
}
