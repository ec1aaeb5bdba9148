import { advanceProgress } from '../../progress/estimator.ts'
import type { ProgressInput } from '../../progress/progress.ts'
import type { RestoreState } from './state.ts'

/** Gives the estimator one input. */
export const feed = (state: RestoreState, input: ProgressInput, atMs: number): RestoreState => ({
  ...state,
  estimator: advanceProgress(state.estimator, input, atMs),
})
