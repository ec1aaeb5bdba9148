import { randomBytes } from 'node:crypto'
import type { RestoreOptions } from '../config/options.ts'
import type { RestoreError } from '../errors.ts'
import { bootId } from '../process/proc-stat.ts'
import { nameOfSource } from '../source/source-ref.ts'
import { checkSameRestore, goOn } from './resume/resume.ts'
import { runSession } from './run-session.ts'
import { openPlace, type Place } from './state/hold-state-dir.ts'
import { initialState } from './state/initial-state.ts'
import { stallThresholds } from './state/stall-thresholds.ts'
import type { AttributeValue, Observer, RestoreState, SpanLink, TraceIdentity } from './state/state.ts'
import type { Store } from './state/store.ts'

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
  /** Lets the tools go on without us, for the next agent to adopt; those that we feed are ended. Nothing is begun any more, and the process must end. */
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
 * `state_unreadable`, and what an option that is given now to an interrupted one would fail with.
 */
export async function startSession(
  options: RestoreOptions,
  surroundings: SessionSurroundings,
  /** Name under which it is asked for. */
  backup: string | null = null,
): Promise<RestoreSession> {
  const place = openPlace(options.stateDir)
  try {
    const found = place.read()
    if (found?.status !== 'running') return begin(place, options, surroundings, backup)
    checkSameRestore(found, options)
    return await goOn(place, found, options, surroundings)
  } catch (error) {
    place.release()
    throw error
  }
}

/**
 * Goes on with an interrupted restore, whichever it is; null where there is none. `askedNow` says what it would be told if it
 * began now; null: as it was begun. Throws as `startSession` does.
 */
export async function resumeSession(
  stateDir: string,
  askedNow: (found: RestoreState) => RestoreOptions | null,
  surroundings: SessionSurroundings,
): Promise<RestoreSession | null> {
  const place = openPlace(stateDir)
  try {
    const found = place.read()
    if (found?.status === 'running') return await goOn(place, found, askedNow(found) ?? found.options, surroundings)
  } catch (error) {
    place.release()
    throw error
  }
  place.release()
  return null
}

function begin(
  place: Place,
  options: RestoreOptions,
  surroundings: SessionSurroundings,
  backup: string | null,
): RestoreSession {
  place.toolLock.fd() // no tool of anybody is left
  const atMs = Date.now()
  const state = initialState(
    {
      restoreId: newRestoreId(),
      agentPid: process.pid,
      bootId: bootId(),
      options,
      backup,
      ...surroundings.beginTrace(),
      attributes: shortPlan(options),
      stallThresholds: stallThresholds(options),
    },
    atMs,
  )
  return runSession(place, { state, event: { type: 'restore_started', atMs }, resumed: false }, surroundings)
}

const shortPlan = (options: RestoreOptions): Record<string, AttributeValue> => ({
  'restore.backup': options.sources.map(nameOfSource).join(' '),
  'restore.datadir': options.datadir,
  'restore.chain.length': options.sources.length,
})
