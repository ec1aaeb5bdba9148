import { join } from 'node:path'
import type { RestoreError } from '../errors.ts'
import { endGroups } from '../process/kill-groups.ts'
import { isAlive } from '../process/proc-stat.ts'
import type { Source } from '../source/source.ts'
import { holdDatadir, type RestoreContext } from './context.ts'
import { runRestore } from './coordinator.ts'
import { reduce } from './state/reduce.ts'
import type { Observer, RestoreEvent, RestoreState, SpanLink, TraceIdentity } from './state/state.ts'
import { forgetSent, openStateDir, type StateDir } from './state/state-dir.ts'
import { createStore, type Store } from './state/store.ts'

/**
 * One restore that this agent runs, from lock to terminal state. The command and the daemon both run it through here.
 */
export interface RestoreSession {
  store: Store
  runDir: string
  /** True where an earlier agent began it. */
  resumed: boolean
  /** Resolves with the terminal state, when the lock is free again; never after `detach`. Rejects only on a bug. */
  done: Promise<RestoreState>
  /** Adds a notice that the restore itself does not know of. */
  notice(text: string): void
  /** The caller has told its user of the success: the same command does not report it again. */
  markReported(): void
  /** Ends the restore: `cancelled` or `terminated`. */
  abort(reason: RestoreError): void
  /** SIGKILL to every tool now; `abort` must have come before. */
  kill(): void
  /**
   * Leaves the tools running for the next agent to adopt, and ends those that read from this one. Nothing new begins;
   * the process must exit.
   */
  detach(): Promise<void>
}

export interface SessionSurroundings {
  /** Told of every state after the file is written. */
  observers: readonly Observer[]
  beginTrace(): { trace: TraceIdentity; link: SpanLink | null }
  /** The environment of a tool with the trace context of its span. */
  childEnv(spanId: string, state: RestoreState): Readonly<Record<string, string>>
  /** Sets the listener for ids of spans whose export a backend acknowledged. */
  onSpansExported?(listener: (ids: readonly string[]) => void): void
  /** One line for the agent's own log. */
  warn(text: string): void
}

/**
 * Runs a restore from its first state in this agent to its end, then releases the state dir. `opened`: see
 * `runRestore`.
 *
 * A detached restore starts no tool, ignores the exits of tools and never ends, as if this process had died while they
 * work. A tool may exit before the process does; its status file tells the next agent. A step that is under way still
 * writes the state, so the process may exit at any moment.
 */
export function runSession(
  stateDir: StateDir,
  first: { state: RestoreState; event: RestoreEvent; resumed: boolean; opened?: Map<number, Source> },
  surroundings: SessionSurroundings,
): RestoreSession {
  const controller = new AbortController()
  let detached = false
  const warnOnce = saidOnce(surroundings.warn)
  const now = createClock()
  const { options, restoreId } = first.state
  const store = createStore(first.state, first.event, {
    observers: surroundings.observers,
    write: stateDir.write,
    onWriteError: error => warnOnce(`cannot write the state in ${stateDir.path}: ${(error as Error).message}`),
    onObserverError: error => warnOnce(`an observer failed: ${(error as Error).message}`),
  })
  surroundings.onSpansExported?.(ids => store.dispatch({ type: 'spans_exported', atMs: now(), ids }))
  const end = () => {
    stateDir.release()
    surroundings.onSpansExported?.(ids => forgetSent(stateDir.path, ids))
  }
  const runDir = join(stateDir.path, restoreId)
  const context: RestoreContext = {
    options,
    store,
    toolLock: stateDir.toolLock,
    datadirHold: holdDatadir(options.datadir),
    runDir,
    signal: controller.signal,
    abort(reason) {
      if (!detached) controller.abort(reason)
    },
    detached: () => detached,
    onBug: error => surroundings.warn(error.stack ?? error.message),
    now,
    toolEnv: spanId => surroundings.childEnv(spanId, store.state),
  }
  return {
    store,
    runDir,
    resumed: first.resumed,
    notice: text => store.dispatch({ type: 'notice', atMs: now(), text }),
    markReported: () => markReported(stateDir.path, restoreId, surroundings.warn),
    done: runRestore(context, first.opened).finally(end),
    abort: context.abort,
    kill() {
      for (const { pgid, pid, startTicks } of store.state.tools) if (isAlive(pid, startTicks)) killGroup(pgid)
    },
    async detach() {
      detached = true
      await endGroups(
        store.state.tools.filter(({ fedByAgent }) => fedByAgent),
        { lock: stateDir.toolLock.file() },
      )
    },
  }
}

/**
 * Unix ms that never jump: the wall clock at the start, continued by the monotonic clock. A clock change during a
 * restore affects neither durations nor stalls.
 */
function createClock(): () => number {
  const offsetMs = Date.now() - performance.now()
  return () => Math.round(offsetMs + performance.now())
}

/**
 * The previous agent died after the success was on the disk and before it reported it: the same command reports that
 * success once. Observers get the final state as they would have got it then.
 */
export function reportEarlier(
  stateDir: StateDir,
  found: RestoreState,
  { observers, warn }: SessionSurroundings,
): RestoreSession {
  const text = 'this restore succeeded before; the agent died before it could report that'
  const state = reduce(found, { type: 'notice', atMs: found.updatedAtMs, text })
  const { updatedAtMs: atMs } = found
  const event: RestoreEvent = { type: 'ended', atMs, status: 'succeeded', phase: 'completed', error: null }
  const store = createStore(state, event, {
    observers,
    write() {}, // it is on the disk already
    onWriteError() {},
    onObserverError: error => warn(`an observer failed: ${(error as Error).message}`),
  })
  stateDir.release()
  return {
    store,
    runDir: join(stateDir.path, found.restoreId),
    resumed: true,
    done: Promise.resolve(state),
    notice: more => store.dispatch({ type: 'notice', atMs, text: more }),
    markReported: () => markReported(stateDir.path, found.restoreId, warn),
    abort() {},
    kill() {},
    async detach() {},
  }
}

/** Marks nothing if another restore has begun in the state dir since, or another agent holds it. */
function markReported(path: string, restoreId: string, warn: (text: string) => void): void {
  try {
    const stateDir = openStateDir(path)
    try {
      const found = stateDir.read()
      if (found?.restoreId !== restoreId || found.success?.reported !== false) return
      stateDir.write(reduce(found, { type: 'reported', atMs: found.updatedAtMs }), true)
    } finally {
      stateDir.release()
    }
  } catch (error) {
    warn(`cannot record that the success was reported: ${(error as Error).message}`)
  }
}

/** Warns once of what every event would repeat. */
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
