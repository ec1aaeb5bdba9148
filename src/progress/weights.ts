/**
 * How much what was known before the run counts beside what the run shows: the only numbers here that were chosen by
 * looking at runs (docs/progress.md says at which, and how little they matter). Nothing changes them but the bench, which
 * scores each run with those that suit the other runs best.
 */
export const weights = {
  /** A price from before the run counts like this share of the work that is left. */
  prior: 0.1,
  /** Pages touched by redo ahead are guessed like this share of it had been seen. */
  density: 0.5,
  /** Batches are forgotten over this share of all redo. */
  memory: 0.2,
}
