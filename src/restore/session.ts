import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { RestoreOptions } from '../config/options.ts'
import type { RestoreError } from '../errors.ts'
import { acquireLock } from '../process/lock.ts'
import { isAlive } from '../process/proc-stat.ts'
import type { RestoreContext } from './context.ts'
import { runRestore } from './coordinator.ts'
import { initialState } from './initial-state.ts'
import type { AttributeValue, Observer, RestoreState, SpanLink, TraceIdentity } from './state.ts'
import { ensureStateDir } from './state-dir.ts'
import { createStore, type Store, writeStateFile } from './store.ts'

/** One restore that this agent runs, from lock to terminal state. The command and the daemon both run it through here. */
export interface RestoreSession {
  store: Store
  runDir: string
  /** Resolves with the terminal state, when the lock is free again; rejects only on a bug. */
  done: Promise<RestoreState>
  /** Ends the restore: `cancelled` or `terminated`. */
  abort(reason: RestoreError): void
  /** SIGKILL to every tool now; `abort` must have come before. */
  kill(): void
}

export interface SessionSurroundings {
  /** Told of every state after the file is written. */
  observers: readonly Observer[]
  beginTrace(): { trace: TraceIdentity; link: SpanLink | null }
  /** Environment of a tool whose span has this id, besides ours. */
  childEnv(spanId: string, state: RestoreState): Readonly<Record<string, string>>
  /** One line for the agent's own log. */
  warn(text: string): void
}

export const newRestoreId = (): string =>
  `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}-${randomBytes(3).toString('hex')}`

/** Throws `not_permitted` or `locked` before anything begins. */
export function startSession(options: RestoreOptions, surroundings: SessionSurroundings): RestoreSession {
  ensureStateDir(options.stateDir)
  const lock = acquireLock(join(options.stateDir, 'lock'))
  const restoreId = newRestoreId()
  const runDir = join(options.stateDir, restoreId)
  const controller = new AbortController()
  const store = openStore(options, restoreId, surroundings)
  const context: RestoreContext = {
    options,
    store,
    lock,
    runDir,
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    onBug: error => surroundings.warn(error.stack ?? error.message),
    now: Date.now,
    toolEnv: spanId => surroundings.childEnv(spanId, store.state),
  }
  return {
    store,
    runDir,
    done: runRestore(context).finally(() => lock.release()),
    abort: context.abort,
    kill: () => killNow(store.state.tools),
  }
}

function killNow(tools: RestoreState['tools']): void {
  for (const { pgid, pid, startTicks } of tools) if (isAlive(pid, startTicks)) process.kill(-pgid, 'SIGKILL')
}

function openStore(options: RestoreOptions, restoreId: string, surroundings: SessionSurroundings): Store {
  const atMs = Date.now()
  const stateFile = join(options.stateDir, 'state.json')
  const warnOnce = saidOnce(surroundings.warn)
  const identity = {
    restoreId,
    agentPid: process.pid,
    ...surroundings.beginTrace(),
    attributes: shortPlan(options),
    stallThresholds: stallThresholds(options),
  }
  return createStore(
    initialState(identity, atMs),
    { type: 'restore_started', atMs },
    {
      observers: surroundings.observers,
      write: (state, durable) => writeStateFile(stateFile, state, durable),
      onWriteError: error => warnOnce(`cannot write ${stateFile}: ${(error as Error).message}`),
      onObserverError: error => warnOnce(`an observer failed: ${(error as Error).message}`),
    },
  )
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

const shortPlan = (options: RestoreOptions): Record<string, AttributeValue> => ({
  'restore.backup': options.sources.join(' '),
  'restore.datadir': options.datadir,
  'restore.chain.length': options.sources.length,
})

const stallThresholds = ({ stallTimeoutMs, stallThresholds: byStep }: RestoreOptions) => ({
  ...(stallTimeoutMs !== null && { default: stallTimeoutMs }),
  ...byStep,
})
