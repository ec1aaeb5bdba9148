import type { Phase } from '../phases.ts'
import type { RestoreState } from '../restore/state/state.ts'

/** Phases that would have to begin again from their first byte. */
const NOT_SAFE: readonly Phase[] = ['restoring_basebackup', 'preparing_backup']

/** Whether now is the time to apply what a restore could notice; null is no restore. MyHoard's rule. */
export const isSafeToReload = (state: Pick<RestoreState, 'status' | 'phase'> | null): boolean =>
  state === null || state.status !== 'running' || !NOT_SAFE.includes(state.phase)
