import { endGroups, type Group } from '../../process/kill-groups.ts'
import type { ToolLock } from '../../process/lock.ts'
import { lockHolders } from '../../process/lock.ts'
import { reduce } from '../state/reduce.ts'
import type { EventOf, RestoreEvent, RestoreState } from '../state/state.ts'

/** The agent that takes over, and what the restore continues with. */
export type Successor = Omit<EventOf<'resumed'>, 'type' | 'atMs' | 'lastSeenAtMs'>

/**
 * From the state that a dead agent left to the one that this agent continues with.
 *
 * All of its tools live without it, or have ended and said how: they are adopted, nothing of their work is lost.
 * Otherwise those that live are ended (their pipeline is torn), and a new attempt begins from what is finished.
 * Processes that hold the tools' lock but are not in the state were started in the instant before the agent died, and
 * are ended in any case.
 */
export async function takeOver(
  found: RestoreState,
  toolLock: ToolLock,
  successor: Successor,
): Promise<{ state: RestoreState; event: RestoreEvent }> {
  await endStrangers(successor.adopted ? found.tools.map(({ pgid }) => pgid) : [], toolLock)
  const event: RestoreEvent = {
    type: 'resumed',
    atMs: Date.now(),
    ...successor,
    lastSeenAtMs: found.updatedAtMs,
  }
  return { state: reduce(found, event), event }
}

/**
 * Ends every holder of the tools' lock whose group is not to be kept. One that cannot be ended is another container's
 * or user's.
 */
async function endStrangers(kept: readonly number[], toolLock: ToolLock): Promise<void> {
  const lock = toolLock.file()
  if (!lock) return
  const groups = new Map<number, Group>()
  for (const { pgid, pid, startTicks } of lockHolders(lock.path))
    if (!kept.includes(pgid)) groups.set(pgid, { pgid, pid, startTicks })
  await endGroups([...groups.values()], { lock })
}
