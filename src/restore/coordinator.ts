import { setTimeout as sleep } from 'node:timers/promises'
import { ERRORS, type ErrorCode, RestoreError, toRestoreError } from '../errors.ts'
import { formatFirst, formatIso } from '../format.ts'
import type { Phase, RestoreStatus } from '../phases.ts'
import { endGroups } from '../process/kill-groups.ts'
import { processIn } from '../process/process-in.ts'
import type { Source } from '../source/source.ts'
import { attempt } from './attempt.ts'
import { NEVER, noticeOnce, type RestoreContext, untilDurable } from './context.ts'
import { type HoldingContext, holdDatadir } from './hold-datadir.ts'
import { identityOf, movedFiles, removeCreated } from './resume/cleanup.ts'
import { repair } from './resume/repair.ts'
import { backoffMs, isOfBackup, nextTry } from './resume/retry.ts'
import { watch } from './run/watchdog.ts'
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
  const datadirHold = holdDatadir(context.options.datadir)
  try {
    for (let sources = opened; store.state.status === 'running'; sources = new Map())
      await tryOnce({ ...context, datadirHold }, sources)
  } finally {
    datadirHold.release()
    stopWatch()
  }
  return store.state
}

/** After so many agents that died with their tools, something on this machine kills them and will do so again. */
const MOST_INTERRUPTIONS = 8

async function tryOnce(context: HoldingContext, sources: Map<number, Source>): Promise<void> {
  const { store, now, detached } = context
  try {
    if (store.state.interruptions > MOST_INTERRUPTIONS)
      throw new RestoreError('interrupted', `${store.state.interruptions} agents died in this restore`, {
        hint: 'find out what kills them (memory?), then restore again',
      })
    // With tools adopted from an earlier agent, its attempt continues.
    const adopted = store.state.tools.length > 0
    if (!adopted) store.dispatch({ type: 'attempt_started', atMs: now() })
    takeDatadir(context)
    if (store.state.cleanup.removing) await finishRemoval(context)
    if (!adopted) await repair(context)
    await attempt(context, sources)
    if (detached()) await NEVER
    store.dispatch({ type: 'attempt_ended', atMs: now(), error: null })
    const datadirIdentity = identityOf(context.options.datadir)
    store.dispatch({
      type: 'ended',
      atMs: now(),
      status: 'succeeded',
      phase: 'completed',
      error: null,
      datadirIdentity,
    })
  } catch (thrown) {
    if (detached()) await NEVER
    const error = toRestoreError(thrown)
    // Adopted ones that this attempt did not come to.
    await endGroups(store.state.tools, { lock: context.toolLock.file() })
    store.dispatch({ type: 'attempt_ended', atMs: now(), error: error.record })
    await afterFailure(context, error, sources.size > 0 || store.state.plan !== null)
  } finally {
    await Promise.all([...sources.values()].map(source => source.close()))
  }
}

/** A datadir that another agent has taken since an earlier attempt is not emptied any more. */
function takeDatadir({ store, now, datadirHold }: HoldingContext): void {
  try {
    datadirHold.take()
  } catch (error) {
    store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...store.state.cleanup, partialDatadir: null } })
    throw error
  }
}

async function afterFailure(context: RestoreContext, error: RestoreError, looked: boolean): Promise<void> {
  const { store, now, signal } = context
  const next = signal.aborted ? null : nextTry(store.state, error.code, looked)
  if (next?.kind === 'again') {
    store.dispatch({ type: 'failed_attempt', atMs: now(), memoryCapBytes: next.memoryCapBytes })
    const pauseMs = backoffMs(store.state.failures, store.state.options.retryDelayMs)
    store.dispatch({
      type: 'notice',
      atMs: now(),
      text: `attempt ${store.state.attempt} failed (${error.code}: ${error.message}); the next one begins in ${Math.round(pauseMs / 1000)} s`,
    })
    await sleep(pauseMs, undefined, { signal }).catch(() => {}) // aborted: the next attempt ends at once
    return
  }
  const isOwn = next === null && (signal.aborted || !isOfBackup(store.state, error.code))
  const last = isOwn || next?.kind === 'older' ? error : firstErrorOf(context, error)
  const cleaned = await cleanUp(context, last, next?.kind === 'older')
  if (next?.kind === 'older') {
    store.dispatch({ type: 'fell_back', atMs: now(), backupIndex: next.backupIndex, error: error.record })
    store.dispatch({
      type: 'notice',
      atMs: now(),
      text: `${error.code}: ${error.message}; going back to an older backup`,
    })
    return
  }
  const outcome = next?.kind === 'exhausted' || last !== error ? FAILED_BASEBACKUP : outcomeOf(error.code)
  store.dispatch({ type: 'ended', atMs: now(), ...outcome, error: cleaned.record })
  if (error.code === 'internal' && error.cause instanceof Error) context.onBug(error.cause)
}

/**
 * Where all backups failed, the error is that of the one asked for; those of the older ones are in the notices.
 */
function firstErrorOf({ store, now }: RestoreContext, error: RestoreError): RestoreError {
  const { firstError } = store.state
  if (firstError === null) return error
  const text = `${error.code}: ${error.message}; there is no older backup to go back to`
  store.dispatch({ type: 'notice', atMs: now(), text })
  return new RestoreError(firstError.code, firstError.message, firstError)
}

const FAILED_BASEBACKUP = { status: 'failed', phase: 'failed_basebackup' } as const

/**
 * A datadir that everything has been moved into is complete, whatever is wrong with it: it makes room for an older
 * backup only, and not when it is all that is left of a directory consumed in place, or a server works in it.
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

/** An error of the removal is added to the one that led to it, and does not replace it. */
async function cleanUp(context: RestoreContext, error: RestoreError, makesRoom: boolean): Promise<RestoreError> {
  const { store, now } = context
  try {
    const stays = staysAsItIs(store.state, makesRoom)
    const told = withRemains(error, store.state, stays)
    if (stays)
      store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...store.state.cleanup, partialDatadir: null } })
    await remove(context)
    return told
  } catch (thrown) {
    const { message } = toRestoreError(thrown)
    return new RestoreError(error.code, `${error.message}; what it left could not be removed: ${message}`, error)
  }
}

/** That removal has begun is durable before anything goes: nobody takes half of the files for all of them. */
async function remove(context: RestoreContext): Promise<void> {
  const { store, now, runDir } = context
  const { cleanup, plan } = store.state
  if (cleanup.created.length + cleanup.parents.length === 0 && cleanup.partialDatadir === null) return
  store.dispatch({ type: 'removal_begun', atMs: now() })
  await untilDurable(context, { isRemoval: true })
  const left = await removeCreated(cleanup, movedFiles(runDir), plan?.targetDir ?? null)
  if (left.length > 0)
    noticeOnce(
      context,
      `left in ${cleanup.partialDatadir!.datadir}, as this restore did not create it: ${formatFirst(left)}`,
    )
  store.dispatch({ type: 'removal_ended', atMs: now() })
}

/** An earlier agent died while it removed, or a reboot has lost what was not synced. Then the restore begins anew. */
async function finishRemoval(context: RestoreContext): Promise<void> {
  const { store, now } = context
  const { cleanup } = store.state
  const { partialDatadir } = cleanup
  // A server that somebody has started there since is not disturbed.
  if (partialDatadir && processIn(partialDatadir.datadir) !== null)
    store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...cleanup, partialDatadir: null } })
  await remove(context)
}

const SAYS_UNTOUCHED: ReadonlySet<string> = new Set(['cancelled', 'terminated'])

/**
 * The error with which a restore ends, and its hint true of what remains: a datadir that `stays` full would refuse the
 * same command, and a directory that was prepared in place is not the backup any more that it was.
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
