import { standsWithoutTools } from '../../src/restore/resume/decision.ts'
import type { EventOf, RestoreState } from '../../src/restore/state/state.ts'

/** The event by which another agent takes the state over, with what stands in the boot `bootId`. */
export function resumed(state: RestoreState, changes: Partial<EventOf<'resumed'>> = {}): EventOf<'resumed'> {
  const { bootId = state.bootId, adopted = false } = changes
  return {
    type: 'resumed',
    atMs: state.updatedAtMs,
    agentPid: 5000,
    bootId,
    idPrefix: '0badcafe',
    link: null,
    adopted,
    options: state.options,
    plan: state.plan,
    ...(adopted ? { runs: state.runs, cleanup: state.cleanup } : standsWithoutTools(state, bootId)),
    lastSeenAtMs: state.updatedAtMs,
    ...changes,
  }
}
