/**
 * How good is the estimator on runs that its weights were not chosen on? Each run is scored with the weights that are
 * best (smallest mean of mean errors) for all the others.
 */
import { weights } from '../../src/progress/cost-model.ts'
import { type Score, score } from './score.ts'
import type { Transcript } from './transcript.ts'

const PRIOR = [0.05, 0.1, 0.2]
const DENSITY = [0.3, 0.5, 0.8]
const MEMORY = [0.2, 0.3, 0.5]

export function leaveOneOut(transcripts: readonly Transcript[]): Score[] {
  const shipped = { ...weights }
  const candidates = PRIOR.flatMap(prior =>
    DENSITY.flatMap(density => MEMORY.map(memory => ({ prior, density, memory }))),
  )
  const scored = candidates.map(candidate => {
    Object.assign(weights, candidate)
    return transcripts.map(score)
  })
  Object.assign(weights, shipped)
  return transcripts.map((_, left) => {
    const errorOfOthers = (runs: readonly Score[]) =>
      runs.reduce((sum, run, i) => (i === left ? sum : sum + (run.meanError ?? 0)), 0)
    return scored.reduce((best, runs) => (errorOfOthers(runs) < errorOfOthers(best) ? runs : best))[left]!
  })
}
