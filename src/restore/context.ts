import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RestoreOptions } from '../config/options.ts'
import { RestoreError } from '../errors.ts'
import { formatDuration } from '../format.ts'
import { type Lock, lockDirectory, type ToolLock } from '../process/lock.ts'
import { systemError } from '../process/system-error.ts'
import type { CleanupLedger, RestoreEvent } from './state/state.ts'
import type { Store } from './state/store.ts'

/** What every step of a running restore works with. */
export interface RestoreContext {
  options: RestoreOptions
  store: Store
  toolLock: ToolLock
  datadirHold: DatadirHold
  /** `<state-dir>/<restore id>`: tools' stderr, status files, what remains of the backup's metadata. */
  runDir: string
  /** Aborted by Ctrl-C, SIGTERM, or a watchdog; the reason is a RestoreError. */
  signal: AbortSignal
  /** Ends the restore with this error: its tools are ended and what it created is removed. */
  abort: (reason: RestoreError) => void
  /** The restore is detached: nothing begins or ends any more, the next agent continues it (run-session.ts). */
  detached: () => boolean
  /** Reports a bug, with its stack. */
  onBug: (error: Error) => void
  now: () => number
  /** The trace context that a tool gets in its environment; `spanId` is the tool's own span. */
  toolEnv: (spanId: string) => Readonly<Record<string, string>>
}

/** Never settles: a detached restore awaits it. */
export const NEVER = new Promise<never>(() => {})

type WithoutTime<E> = E extends unknown ? Omit<E, 'atMs'> : never

/** Dispatches an event with the current time. */
export const dispatch = (
  { store, now }: Pick<RestoreContext, 'store' | 'now'>,
  event: WithoutTime<RestoreEvent>,
): void => store.dispatch({ ...event, atMs: now() } as RestoreEvent)

export const notice = (context: RestoreContext, text: string): void => dispatch(context, { type: 'notice', text })

/** Gives a notice once per restore: steps can run again. */
export function noticeOnce(context: RestoreContext, text: string): void {
  if (!context.store.state.notices.includes(text)) notice(context, text)
}

export const changeCleanup = (context: RestoreContext, changes: Partial<CleanupLedger>): void =>
  dispatch(context, { type: 'cleanup', cleanup: { ...context.store.state.cleanup, ...changes } })

const RETRY_MS = 1000

/**
 * Resolves when the current state is on the disk. Every change of data waits for it: after a kill the next agent would
 * otherwise take a half-done change for a finished one. While the state dir cannot be written, it gives a notice and
 * waits up to `--state-wait`; tools that run already are left alone. Throws `disk_full`, `not_permitted`, `state_lost`,
 * or the reason of an abort. With `isRemoval` an aborted restore still gets one attempt to record that it removes what
 * it created.
 */
export async function untilDurable(context: RestoreContext, { isRemoval = false } = {}): Promise<void> {
  await untilWritten(context, () => context.store.persist(), { isRemoval })
}

/** The same for another file of the run dir that must be on the disk before work begins. */
export async function untilWritten(
  context: RestoreContext,
  write: () => void,
  { isRemoval = false } = {},
): Promise<void> {
  const { store, signal } = context
  const beganMs = performance.now()
  for (let isTold = false; ; isTold = true) {
    const error = stateProblem(store, write)
    if (error === null) {
      if (isTold) notice(context, 'the state can be written again')
      return
    }
    const { stateWaitMs } = store.state.options
    if (signal.aborted) throw isRemoval ? error : signal.reason
    if (performance.now() - beganMs >= stateWaitMs) throw error
    const text = `waiting up to ${formatDuration(stateWaitMs)} before anything else begins: ${error.message}`
    if (!isTold) notice(context, text)
    await sleep(Math.min(RETRY_MS, stateWaitMs), undefined, { signal }).catch(() => {}) // aborted: one more look
  }
}

function stateProblem(store: Store, write: () => void): RestoreError | null {
  try {
    write()
    return null
  } catch (thrown) {
    const what = `cannot write the state in ${store.state.options.stateDir}`
    const gone = ['ENOENT', 'ENOTDIR', 'ESTALE'].includes((thrown as NodeJS.ErrnoException).code ?? '')
    return gone ? new RestoreError('state_lost', `${what}: ${(thrown as Error).message}`) : systemError(thrown, what)
  }
}

/**
 * A lock on the datadir of a running restore, against agents that have another state dir. It is taken when the attempt
 * begins, where the datadir exists, and otherwise when move-back creates it. Tools do not inherit it: a datadir that
 * they have begun to fill is not empty, and that refuses other agents too.
 */
export interface DatadirHold {
  /** Locks the directory that has the name now, if any. Throws `locked`, `not_permitted`. */
  take(): void
  release(): void
}

export function holdDatadir(datadir: string): DatadirHold {
  let lock: Lock | null = null
  const stat = () => {
    try {
      return statSync(datadir, { bigint: true, throwIfNoEntry: false })
    } catch (thrown) {
      throw systemError(thrown, `cannot look at ${datadir}`)
    }
  }
  const release = () => {
    lock?.release()
    lock = null
  }
  return {
    take() {
      const named = stat()
      if (lock?.dev === named?.dev && lock?.ino === named?.ino) return
      release()
      if (named?.isDirectory()) lock = lockDirectory(datadir)
    },
    release,
  }
}
