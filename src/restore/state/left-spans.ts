import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { withoutSent } from './spans.ts'
import type { UnsentSpan } from './state.ts'
import { openStateDir, readStateFile, type StateDir } from './state-dir.ts'

/**
 * The unsent spans of an ended restore: the next restore carries them over, and `serve` and `status` on the same state
 * dir export them.
 */

/** Spans of an ended restore that nobody acknowledged. Empty for a running restore and an unreadable state. */
export function leftSpans(stateDir: string): readonly UnsentSpan[] {
  try {
    const found = readStateFile(join(stateDir, 'state.json'))
    return found === null || found.status === 'running' ? [] : found.unsentSpans
  } catch {
    // The command that needs this state reports what is wrong with it.
    return []
  }
}

/**
 * Removes acknowledged spans from the state of an ended restore. A later one that holds the state dir has its own copy.
 */
export function forgetSent(stateDir: string, ids: readonly string[]): void {
  if (!leftSpans(stateDir).some(({ id }) => ids.includes(id))) return
  let held: StateDir
  try {
    held = openStateDir(stateDir)
  } catch (error) {
    if (error instanceof RestoreError && error.code === 'locked') return
    throw error
  }
  try {
    const found = held.read()
    if (found !== null && found.status !== 'running') held.write(withoutSent(found, ids), false)
  } finally {
    held.release()
  }
}
