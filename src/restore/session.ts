import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { RestoreOptions } from '../config/options.ts'
import { RestoreError } from '../errors.ts'
import { endGroups } from '../process/kill-groups.ts'
import { acquireLock } from '../process/lock.ts'
import { bootId, isAlive } from '../process/proc-stat.ts'
import { checkClaims } from './check-claims.ts'
import type { RestoreContext } from './context.ts'
import { runRestore } from './coordinator.ts'
import { currentOptions } from './current-options.ts'
import { initialState } from './initial-state.ts'
import type { AttributeValue, Observer, RestoreEvent, RestoreState, SpanLink, TraceIdentity } from './state.ts'
import { ensureStateDir } from './state-dir.ts'
import { readStateFile, writeStateFile } from './state-file.ts'
import { createStore, type Store } from './store.ts'
import { takeOver } from './take-over.ts'
import { createToolLock, type ToolLock } from './tool-lock.ts'

/** One restore that this agent runs, from lock to terminal state. The command and the daemon both run it through here. */
export interface RestoreSession {
  store: Store
  runDir: string
  /** True where an earlier agent began it. */
  resumed: boolean
  /** Resolves with the terminal state, when the lock is free again; never after `detach`. Rejects only on a bug. */
  done: Promise<RestoreState>
  /** Ends the restore: `cancelled` or `terminated`. */
  abort(reason: RestoreError): void
  /** SIGKILL to every tool now; `abort` must have come before. */
  kill(): void
  /** Lets the tools go on without us, for the next agent to adopt; those that we feed are ended. Then the process must end. */
  detach(): Promise<void>
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

/**
 * Begins the restore, or goes on with the same one where an agent before was interrupted. Throws before anything begins:
 * `not_permitted`, `locked` (another agent is at work), `unfinished` (another restore was interrupted here),
 * `state_unreadable`.
 */
export async function startSession(
  options: RestoreOptions,
  surroundings: SessionSurroundings,
): Promise<RestoreSession> {
  const place = openPlace(options.stateDir)
  try {
    const found = place.read()
    if (found?.status !== 'running') return begin(place, options, surroundings)
    if (!isSameRestore(found.options, options))
      throw new RestoreError(
        'unfinished',
        `the restore of ${found.options.sources.join(' ')} into ${found.options.datadir} was interrupted and is not finished`,
      )
    checkUnchanged(found)
    const session = await goOn(place, found, surroundings)
    const unused = otherOptions(found.options, options)
    if (unused.length > 0)
      session.store.dispatch({
        type: 'notice',
        atMs: Date.now(),
        text: `the restore goes on as it was begun; other values are given now for ${unused.join(', ')}, and not used`,
      })
    return session
  } catch (error) {
    place.release()
    throw error
  }
}

/** Goes on with an interrupted restore, whichever it is; null where there is none. Throws as `startSession` does. */
export async function resumeSession(
  stateDir: string,
  surroundings: SessionSurroundings,
): Promise<RestoreSession | null> {
  const place = openPlace(stateDir)
  try {
    const found = place.read()
    if (found?.status === 'running') return await goOn(place, found, surroundings)
  } catch (error) {
    place.release()
    throw error
  }
  place.release()
  return null
}

const isSameRestore = (a: RestoreOptions, b: RestoreOptions): boolean =>
  a.datadir === b.datadir && JSON.stringify(a.sources) === JSON.stringify(b.sources)

/** What was extracted of another file under the same name must not pass for this one. Throws `unfinished`. */
function checkUnchanged(found: RestoreState): void {
  for (const source of currentOptions(found).sources) {
    const stat = source === '-' ? undefined : statSync(source, { throwIfNoEntry: false })
    if (stat?.isFile() && stat.mtimeMs > found.startedAtMs)
      throw new RestoreError(
        'unfinished',
        `${source} was changed after the restore began that was interrupted and is not finished`,
        { hint: 'to restore what it is now, begin anew with another --state-dir' },
      )
  }
}

/** Keys of options by which a restore differs. A deadline given as a duration is another one each time. */
const otherOptions = (a: RestoreOptions, b: RestoreOptions): string[] =>
  (Object.keys(b) as (keyof RestoreOptions)[]).filter(
    key => !OF_THIS_CALL.has(key) && JSON.stringify(a[key]) !== JSON.stringify(b[key]),
  )
const OF_THIS_CALL: ReadonlySet<string> = new Set(['json', 'quiet', 'color', 'dryRun', 'deadlineMs'])

/** The state dir, held by this agent alone: `agent.lock` is ours, `lock` is the tools'. */
interface Place {
  stateDir: string
  toolLock: ToolLock
  read(): RestoreState | null
  write(state: RestoreState, durable: boolean): void
  release(): void
}

function openPlace(stateDir: string): Place {
  ensureStateDir(stateDir)
  const agentLock = acquireLock(join(stateDir, 'agent.lock'))
  const toolLock = createToolLock(join(stateDir, 'lock'))
  const stateFile = join(stateDir, 'state.json')
  return {
    stateDir,
    toolLock,
    read() {
      const found = readStateFile(stateFile)
      if (found?.status === 'running') checkClaims(found, stateDir)
      return found
    },
    write: (state, durable) => writeStateFile(stateFile, state, durable),
    release() {
      toolLock.release()
      agentLock.release()
    },
  }
}

function begin(place: Place, options: RestoreOptions, surroundings: SessionSurroundings): RestoreSession {
  place.toolLock.fd() // no tool of anybody is left
  const atMs = Date.now()
  const state = initialState(
    {
      restoreId: newRestoreId(),
      agentPid: process.pid,
      bootId: bootId(),
      options,
      ...surroundings.beginTrace(),
      attributes: shortPlan(options),
      stallThresholds: stallThresholds(options),
    },
    atMs,
  )
  return run(place, state, { type: 'restore_started', atMs }, surroundings, false)
}

async function goOn(place: Place, found: RestoreState, surroundings: SessionSurroundings): Promise<RestoreSession> {
  const { trace, link } = surroundings.beginTrace()
  const taken = await takeOver(found, place.toolLock, {
    agentPid: process.pid,
    bootId: bootId(),
    idPrefix: trace.idPrefix,
    link: link ?? (trace.parentSpanId ? { traceId: trace.traceId, spanId: trace.parentSpanId } : null),
  })
  return run(place, taken.state, taken.event, surroundings, true)
}

function run(
  place: Place,
  state: RestoreState,
  event: RestoreEvent,
  surroundings: SessionSurroundings,
  resumed: boolean,
): RestoreSession {
  const controller = new AbortController()
  const warnOnce = saidOnce(surroundings.warn)
  const store = createStore(state, event, {
    observers: surroundings.observers,
    write: place.write,
    onWriteError: error => warnOnce(`cannot write the state in ${place.stateDir}: ${(error as Error).message}`),
    onObserverError: error => warnOnce(`an observer failed: ${(error as Error).message}`),
  })
  const runDir = join(place.stateDir, state.restoreId)
  const context: RestoreContext = {
    options: state.options,
    store,
    toolLock: place.toolLock,
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
    resumed,
    done: runRestore(context).finally(place.release),
    abort: context.abort,
    kill() {
      for (const { pgid, pid, startTicks } of store.state.tools) if (isAlive(pid, startTicks)) killGroup(pgid)
    },
    async detach() {
      store.freeze()
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

const shortPlan = (options: RestoreOptions): Record<string, AttributeValue> => ({
  'restore.backup': options.sources.join(' '),
  'restore.datadir': options.datadir,
  'restore.chain.length': options.sources.length,
})

const stallThresholds = ({ stallTimeoutMs, stallThresholds: byStep }: RestoreOptions) => ({
  ...(stallTimeoutMs !== null && { default: stallTimeoutMs }),
  ...byStep,
})

function killGroup(pgid: number): void {
  try {
    process.kill(-pgid, 'SIGKILL')
  } catch {
    // gone in the instant since we looked
  }
}
