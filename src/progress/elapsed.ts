/**
 * Elapsed seconds by part of the work. A new attempt keeps those of the parts that it need not do again, and earlier
 * elements of a chain price later ones. The running phase is added when the next one begins.
 */
import type { Elapsed, WorkPart } from './progress.ts'
import type { ProgressState } from './state.ts'

/** Seconds of all parts so far, the running phase included. Checks are left out: each attempt repeats them. */
export function elapsedSoFar({ elapsed, position, phase, phaseSeconds, work }: ProgressState): readonly Elapsed[] {
  if (phase === 'restoring_basebackup') return add(elapsed, { position, part: 'fetch', seconds: phaseSeconds })
  if (phase !== 'preparing_backup') return elapsed
  const prepared = add(elapsed, { position, part: 'prepare', seconds: phaseSeconds - work.moveSeconds })
  return add(prepared, { position, part: 'move_back', seconds: work.moveSeconds })
}

const isSame = (a: WorkPart, b: WorkPart) => a.position === b.position && a.part === b.part

function add(elapsed: readonly Elapsed[], more: Elapsed): readonly Elapsed[] {
  if (more.position === 0 || !(more.seconds > 0)) return elapsed
  const before = elapsed.find(entry => isSame(entry, more))
  if (before === undefined) return [...elapsed, more]
  return elapsed.map(entry => (entry === before ? { ...more, seconds: before.seconds + more.seconds } : entry))
}

/** The parts that a new attempt need not do again. */
export const keptOf = (elapsed: readonly Elapsed[], kept: readonly WorkPart[]): readonly Elapsed[] =>
  elapsed.filter(entry => kept.some(part => isSame(entry, part)))

export const secondsOf = (elapsed: readonly Elapsed[]): number => elapsed.reduce((sum, { seconds }) => sum + seconds, 0)

/** Seconds of one element; 0 where it has none. */
export function secondsOfElement({ elapsed, position, phaseSeconds }: ProgressState, of: number): number {
  let sum = of === position ? phaseSeconds : 0
  for (const entry of elapsed) if (entry.position === of) sum += entry.seconds
  return sum
}
