/**
 * What is left of the whole restore, in seconds: this phase, the rest of this element, the elements after it, the checks
 * at the end. What nothing is known of yet is priced by what was seen of its like: a prepare by its extract, later elements
 * by what a stored byte of those so far took; where their sizes are not known, an incremental by the one before it, else by
 * the full backup.
 */

import { INSTANCE_SECONDS } from './cost-model.ts'
import { secondsOfElement } from './elapsed.ts'
import { finalizeLeft, type Price, phaseLeft, prepareLeft } from './remaining.ts'
import type { ProgressState } from './state.ts'

const PREPARE_PER_EXTRACT = 0.5
const INCREMENTAL_PER_FULL = 0.35

export function restoreLeft(state: ProgressState, inPhase: Price | null = phaseLeft(state)): Price | null {
  if (inPhase === null) return null
  if (state.phase === 'finalizing') return inPhase
  let { seconds, guessedSeconds } = inPhase
  const guess = (more: number) => {
    seconds += more
    guessedSeconds += more
  }
  if (state.phase === 'restoring_basebackup') {
    const prepare = prepareLeft(state)
    guess(prepare?.seconds ?? PREPARE_PER_EXTRACT * (state.phaseSeconds + inPhase.seconds))
  }
  const later = Math.max(0, state.elements - Math.max(1, state.position))
  if (later > 0) {
    const one = () => lastIncremental(state) ?? INCREMENTAL_PER_FULL * fullSeconds(state, seconds)
    guess(Math.max(later * INSTANCE_SECONDS, secondsBySize(state, seconds) ?? later * one()))
  }
  guess(finalizeLeft(state).seconds)
  return { seconds, guessedSeconds }
}

/** Later elements by their stored bytes; null where a size is not known. `leftSeconds` are left of the one running. */
function secondsBySize(
  { facts, elements, position, restoreSeconds }: ProgressState,
  leftSeconds: number,
): number | null {
  const { chainBytes } = facts
  if (chainBytes.length !== elements) return null
  let soFar = 0
  let ahead = 0
  for (const [i, bytes] of chainBytes.entries()) {
    if (bytes === null) return null
    if (i < position) soFar += bytes
    else ahead += bytes
  }
  return soFar > 0 ? ((restoreSeconds + leftSeconds) * ahead) / soFar : null
}

/** What the newest finished incremental took; null where none is finished. */
function lastIncremental(state: ProgressState): number | null {
  const seconds = state.position > 2 ? secondsOfElement(state, state.position - 1) : 0
  return seconds > 0 ? seconds : null
}

/** The full backup; where it is the one running, `leftSeconds` are left of it. */
function fullSeconds(state: ProgressState, leftSeconds: number): number {
  const seconds = secondsOfElement(state, 1)
  return state.position > 1 && seconds > 0 ? seconds : secondsOfElement(state, state.position) + leftSeconds
}
