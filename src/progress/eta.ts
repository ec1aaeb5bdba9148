/**
 * When the restore is expected to end. Absent until it means something: some work was seen, and what is left is less than
 * what is done, or not all of it priced by a guess. Absent too while the tool is stalled. The range is wide where the price is a guess.
 */
import type { Progress } from './progress.ts'
import type { ProgressState } from './state.ts'

const LEAST_SECONDS = 3
const MOST_GUESSED = 0.98

export function etaOf(state: ProgressState, nowMs: number, stalled: boolean): Progress['eta'] {
  const left = state.restoreLeftSeconds
  if (left === null || stalled || state.lastProgressAtMs === null) return null
  if (state.restoreSeconds < LEAST_SECONDS) return null
  if (left > state.restoreSeconds && state.guessedSeconds > MOST_GUESSED * left) return null
  const guessed = left > 0 ? Math.min(1, state.guessedSeconds / left) : 0
  // Where the tool is looked at, no evidence means that nothing was done. Where only lines tell, a quiet tool may be half
  // through what it is quiet about; but time alone ends nothing.
  const least = state.sample === null ? 500 : 1000
  const at = (seconds: number) =>
    Math.round(Math.max(state.lastProgressAtMs! + 1000 * seconds, nowMs + least * seconds))
  return {
    atMs: at(left),
    earliestMs: at(left * (0.85 - 0.5 * guessed)),
    latestMs: at(left * (1.2 + 1.5 * guessed)),
  }
}
