/**
 * Seconds of work by what they were spent on, so that a new attempt keeps those of the work that still stands, and later
 * elements of a chain are priced by earlier ones. The running phase is in here only once another begins.
 */
import type { Phase } from '../phases.ts'
import type { WorkPart } from './progress.ts'
import type { ProgressState } from './state.ts'

export interface Spent extends WorkPart {
  seconds: number
}

/** Everything spent so far, the running phase too. Checks and looking are done again by each attempt: they are not in it. */
export function settle({ spent, position, phase, phaseSeconds, work }: ProgressState): readonly Spent[] {
  if (phase === 'restoring_basebackup') return add(spent, { position, part: 'bring', seconds: phaseSeconds })
  if (phase !== 'preparing_backup') return spent
  const prepared = add(spent, { position, part: 'prepare', seconds: phaseSeconds - work.moveSeconds })
  return add(prepared, { position, part: 'move_back', seconds: work.moveSeconds })
}

const isSame = (a: WorkPart, b: WorkPart) => a.position === b.position && a.part === b.part

function add(spent: readonly Spent[], more: Spent): readonly Spent[] {
  if (more.position === 0 || !(more.seconds > 0)) return spent
  const before = spent.find(entry => isSame(entry, more))
  if (before === undefined) return [...spent, more]
  return spent.map(entry => (entry === before ? { ...more, seconds: before.seconds + more.seconds } : entry))
}

/** What of it a new attempt need not do again. */
export const standing = (spent: readonly Spent[], parts: readonly WorkPart[]): readonly Spent[] =>
  spent.filter(entry => parts.some(part => isSame(entry, part)))

export const secondsOf = (spent: readonly Spent[]): number => spent.reduce((sum, { seconds }) => sum + seconds, 0)

/** Seconds of one element; 0 where nothing was spent on it. */
export function secondsOfElement({ spent, position, phaseSeconds }: ProgressState, of: number): number {
  let sum = of === position ? phaseSeconds : 0
  for (const entry of spent) if (entry.position === of) sum += entry.seconds
  return sum
}

/** What an estimator of version 0.1.0 kept: how long the full backup, the newest incremental and the running element took. */
interface Older {
  position?: number
  phase?: Phase | null
  phaseSeconds?: number
  elementSeconds?: number
  fullSeconds?: number | null
  incrementalSeconds?: number | null
  facts?: object | null
}

/** A stored estimator with what an older agent kept in another form: by element at least, where not by part. */
export function withSpent<T>(stored: T): T {
  if (typeof stored !== 'object' || stored === null || 'spent' in stored) return stored
  const { position = 0, phase, phaseSeconds = 0, elementSeconds = 0, fullSeconds, incrementalSeconds } = stored as Older
  const { facts } = stored as Older
  const full = add([], { position: 1, part: 'prepare', seconds: position > 1 ? (fullSeconds ?? 0) : 0 })
  const newest = position > 2 ? (incrementalSeconds ?? 0) : 0
  const earlier = add(full, { position: position - 1, part: 'prepare', seconds: newest })
  const part = phase === 'finalizing' ? 'prepare' : 'bring'
  const spent = add(earlier, { position, part, seconds: elementSeconds - phaseSeconds })
  return { ...stored, spent, ...(facts && { facts: { chainBytes: [], ...facts } }) }
}
