import { join } from 'node:path'
import { endGroups } from '../process/kill-groups.ts'
import { isAlive } from '../process/proc-stat.ts'
import type { Source } from '../source/source.ts'
import type { RestoreContext } from './context.ts'
import { runRestore } from './coordinator.ts'
import type { RestoreSession, SessionSurroundings } from './session.ts'
import type { Place } from './state/hold-state-dir.ts'
import type { RestoreEvent, RestoreState } from './state/state.ts'
import { createStore } from './state/store.ts'

/**
 * Runs a restore from its first state under this agent to its end, and lets go of the place then. `opened` as `runRestore` has it.
 *
 * Detached, it stands still: it hears of no tool's end any more, starts none, and does not end itself, as if this process had
 * died while the tools worked (`detached`). What is left for the process to do may take long, and a tool may end meanwhile; its status
 * file tells the next agent. The state stays in force to the last: whatever still happens, such as a step of ours that was
 * under way, is noted as ever, so that the process may end at any moment.
 */
export function runSession(
  place: Place,
  first: { state: RestoreState; event: RestoreEvent; resumed: boolean; opened?: Map<number, Source> },
  surroundings: SessionSurroundings,
): RestoreSession {
  const controller = new AbortController()
  let detached = false
  const warnOnce = saidOnce(surroundings.warn)
  const { options, restoreId } = first.state
  const store = createStore(first.state, first.event, {
    observers: surroundings.observers,
    write: place.write,
    onWriteError: error => warnOnce(`cannot write the state in ${place.stateDir}: ${(error as Error).message}`),
    onObserverError: error => warnOnce(`an observer failed: ${(error as Error).message}`),
  })
  const runDir = join(place.stateDir, restoreId)
  const context: RestoreContext = {
    options,
    store,
    toolLock: place.toolLock,
    runDir,
    signal: controller.signal,
    abort(reason) {
      if (!detached) controller.abort(reason)
    },
    detached: () => detached,
    onBug: error => surroundings.warn(error.stack ?? error.message),
    now: Date.now,
    toolEnv: spanId => surroundings.childEnv(spanId, store.state),
  }
  return {
    store,
    runDir,
    resumed: first.resumed,
    done: runRestore(context, first.opened).finally(place.release),
    abort: context.abort,
    kill() {
      for (const { pgid, pid, startTicks } of store.state.tools) if (isAlive(pid, startTicks)) killGroup(pgid)
    },
    async detach() {
      detached = true
      await endGroups(
        store.state.tools.filter(({ fedByAgent }) => fedByAgent),
        { lock: place.toolLock.file() },
      )
    },
  }
}

/** A complaint that would come with every event is made once. */
function saidOnce(warn: (text: string) => void): (text: string) => void {
  const said = new Set<string>()
  return text => {
    if (said.has(text)) return
    said.add(text)
    warn(text)
  }
}

function killGroup(pgid: number): void {
  try {
    process.kill(-pgid, 'SIGKILL')
  } catch {
    // gone in the instant since we looked
  }
}
