import { setTimeout as sleep } from 'node:timers/promises'
import { ERRORS, type ErrorCode, RestoreError, toRestoreError } from '../errors.ts'
import { formatIso } from '../format.ts'
import type { Phase, RestoreStatus } from '../phases.ts'
import { endGroups } from '../process/kill-groups.ts'
import { processIn } from '../process/process-in.ts'
import type { Source } from '../source/source.ts'
import { attempt } from './attempt.ts'
import { changeCleanup, dispatch, NEVER, notice, type RestoreContext } from './context.ts'
import { identityOf, removeAll } from './resume/cleanup.ts'
import { repair } from './resume/repair.ts'
import { backoffMs, isOfBackup, nextTry } from './resume/retry.ts'
import { isFinished } from './state/runs.ts'
import type { RestoreState } from './state/state.ts'

/**
 * Runs attempts until the restore is in a terminal state. A failure that may pass is tried again after a pause. A
 * damaged backup gives way to an older one where one is configured. Any other failure ends the tools, removes what this
 * restore created, and becomes the state's error. `opened` are sources that are open already, by position; the first
 * attempt uses them and closes them.
 */
export async function runRestore(context: RestoreContext, opened = new Map<number, Source>()): Promise<RestoreState> {
  const { store } = context
  const stopWatch = watch(context)
  try {
    for (let sources = opened; store.state.status === 'running'; sources = new Map()) await tryOnce(context, sources)
  } finally {
    context.datadirHold.release()
    stopWatch()
  }
  return store.state
}

/** So many agents died with their tools: something on this machine kills them and will do so again. */
const MOST_INTERRUPTIONS = 8

async function tryOnce(context: RestoreContext, sources: Map<number, Source>): Promise<void> {
  const { store, detached } = context
  try {
    if (store.state.interruptions > MOST_INTERRUPTIONS)
      throw new RestoreError('interrupted', `${store.state.interruptions} agents died in this restore`, {
        hint: 'find out what kills them (memory?), then restore again',
      })
    // Adopted tools belong to the attempt of the earlier agent, which continues.
    const adopted = store.state.tools.length > 0
    if (!adopted) dispatch(context, { type: 'attempt_started' })
    takeDatadir(context)
    await repair(context)
    await attempt(context, sources)
    if (detached()) await NEVER
    dispatch(context, { type: 'attempt_ended', error: null })
    const datadirIdentity = identityOf(context.options.datadir)
    dispatch(context, { type: 'ended', status: 'succeeded', phase: 'completed', error: null, datadirIdentity })
  } catch (thrown) {
    if (detached()) await NEVER
    const error = toRestoreError(thrown)
    // Adopted tools that this attempt did not reach.
    await endGroups(store.state.tools, { lock: context.toolLock.file() })
    dispatch(context, { type: 'attempt_ended', error: error.record })
    await afterFailure(context, error, sources.size > 0 || store.state.plan !== null)
  } finally {
    await Promise.all([...sources.values()].map(source => source.close()))
  }
}

/** A datadir that another agent locked after an earlier attempt is not emptied any more. */
function takeDatadir(context: RestoreContext): void {
  try {
    context.datadirHold.take()
  } catch (error) {
    changeCleanup(context, { partialDatadir: null })
    throw error
  }
}

async function afterFailure(context: RestoreContext, error: RestoreError, looked: boolean): Promise<void> {
  const { store, signal } = context
  const next = signal.aborted ? null : nextTry(store.state, error.code, looked)
  if (next?.kind === 'again') {
    dispatch(context, { type: 'failed_attempt', memoryCapBytes: next.memoryCapBytes })
    const pauseMs = backoffMs(store.state.failures, store.state.options.retryDelayMs)
    const seconds = Math.round(pauseMs / 1000)
    notice(
      context,
      `attempt ${store.state.attempt} failed (${error.code}: ${error.message}); the next one begins in ${seconds} s`,
    )
    await sleep(pauseMs, undefined, { signal }).catch(() => {}) // aborted: the next attempt ends at once
    return
  }
  const isOwn = next === null && (signal.aborted || !isOfBackup(store.state, error.code))
  const last = isOwn || next?.kind === 'older' ? error : firstErrorOf(context, error)
  const cleaned = await cleanUp(context, last, next?.kind === 'older')
  if (next?.kind === 'older') {
    dispatch(context, { type: 'fell_back', backupIndex: next.backupIndex, error: error.record })
    notice(context, `${error.code}: ${error.message}; going back to an older backup`)
    return
  }
  const outcome = next?.kind === 'exhausted' || last !== error ? FAILED_BASEBACKUP : outcomeOf(error.code)
  dispatch(context, { type: 'ended', ...outcome, error: cleaned.record })
  if (error.code === 'internal' && error.cause instanceof Error) context.onBug(error.cause)
}

/**
 * If every backup failed, the restore ends with the error of the one asked for; those of older backups are in the
 * notices.
 */
function firstErrorOf(context: RestoreContext, error: RestoreError): RestoreError {
  const { firstError } = context.store.state
  if (firstError === null) return error
  notice(context, `${error.code}: ${error.message}; there is no older backup to go back to`)
  return new RestoreError(firstError.code, firstError.message, firstError)
}

const FAILED_BASEBACKUP = { status: 'failed', phase: 'failed_basebackup' } as const

/**
 * Whether the datadir keeps its files after a failure. After a finished move-back it is complete, whatever failed
 * later. It is emptied only to make room for an older backup, and not if it is all that is left of a directory consumed
 * in place, or if a server works in it.
 */
function staysAsItIs(state: RestoreState, makesRoom: boolean): boolean {
  const { plan, cleanup } = state
  if (cleanup.partialDatadir === null || !isFinished(state, { kind: 'move_back' })) return false
  return !makesRoom || plan?.inPlace === true || processIn(cleanup.partialDatadir.datadir) !== null
}

/** The terminal state an error leads to. */
export function outcomeOf(code: ErrorCode): { status: Exclude<RestoreStatus, 'running'>; phase: Phase } {
  if (code === 'cancelled' || code === 'terminated') return { status: 'cancelled', phase: 'failed' }
  return ERRORS[code].backup ? FAILED_BASEBACKUP : { status: 'failed', phase: 'failed' }
}

/** An error of the cleanup is appended to the error that led to it and does not replace it. */
async function cleanUp(context: RestoreContext, error: RestoreError, makesRoom: boolean): Promise<RestoreError> {
  const { state } = context.store
  try {
    const stays = staysAsItIs(state, makesRoom)
    const told = withRemains(error, state, stays)
    if (stays) changeCleanup(context, { partialDatadir: null })
    await removeAll(context)
    // Where nothing was to be removed, no file goes back either.
    if (context.store.state.cleanup.returnFilesTo !== null) changeCleanup(context, { returnFilesTo: null })
    return told
  } catch (thrown) {
    const { message } = toRestoreError(thrown)
    return new RestoreError(error.code, `${error.message}; what it left could not be removed: ${message}`, error)
  }
}

const SAYS_UNTOUCHED: ReadonlySet<string> = new Set(['cancelled', 'terminated'])

/**
 * The final error with a hint that fits what remains: a datadir that stays full would refuse the same command, and a
 * directory prepared in place is no longer the backup it was.
 */
function withRemains(error: RestoreError, { plan, runs, earlier }: RestoreState, stays: boolean): RestoreError {
  const hint = stays
    ? hintOfDatadir(error, plan!.datadir)
    : (hintOfEarlier(error, earlier) ?? hintOfSource(error, plan, runs))
  return hint === error.hint ? error : new RestoreError(error.code, error.message, { ...detailsOf(error), hint })
}

const hintOfEarlier = ({ code, hint }: RestoreError, earlier: RestoreState['earlier']): string | null =>
  code === 'datadir_not_empty' && earlier !== null
    ? `restore ${earlier.restoreId} of ${earlier.sources.join(' ')} into it succeeded at ${formatIso(earlier.endedAtMs)}; ${hint}`
    : null

const hintOfDatadir = ({ code, hint }: RestoreError, datadir: string): string =>
  SAYS_UNTOUCHED.has(code)
    ? `${datadir} holds all that was restored, but was not checked to the end: use it as it is, or empty it and restore again`
    : `${hint}; ${datadir} keeps what was restored`

function hintOfSource({ code, hint }: RestoreError, plan: RestoreState['plan'], runs: RestoreState['runs']): string {
  if (!plan?.inPlace || !SAYS_UNTOUCHED.has(code) || runs.every(({ kind }) => kind === 'fetch')) return hint
  return `${plan.targetDir} was consumed in place: restore-agent inspect says what it is now`
}

const detailsOf = ({ lastWords, cause }: RestoreError) => ({ lastWords, ...(cause !== undefined && { cause }) })

const TICK_MS = 1000

/** Dispatches a tick a second, by which stalls are detected. With `--stall-action fail` a stall ends the restore. */
export function watch({ store, now, options, abort }: RestoreContext): () => void {
  const timer = setInterval(() => {
    store.dispatch({ type: 'tick', atMs: now() })
    const { progress, phase, step } = store.state
    if (!progress.stalled || options.stallAction !== 'fail') return
    const seconds = Math.round((now() - progress.lastProgressAtMs) / 1000)
    abort(new RestoreError('stalled', `no progress for ${seconds} s in ${step ?? phase}, ${progress.activity}`))
  }, TICK_MS)
  return () => clearInterval(timer)
}
