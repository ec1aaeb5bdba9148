import { isFinished } from '../state/runs.ts'
import type { RestoreState } from '../state/state.ts'

/**
 * Whether the bytes of an element are needed from its source, for the first time or again: it is not fetched, or a
 * prepare that was interrupted has changed it (repair.ts; of a MariaDB chain it may turn out to be less).
 */
export function needsBytes(state: RestoreState, position: number): boolean {
  if (!isFinished(state, { element: position, kind: 'fetch' })) return true
  const cut = state.runs.filter(({ kind, finished }) => kind === 'prepare' && !finished)
  return state.tools.length === 0 && cut.some(({ element }) => element >= position)
}
