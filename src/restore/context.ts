import type { RestoreOptions } from '../config/options.ts'
import type { RestoreError } from '../errors.ts'
import type { ToolLock } from '../process/lock.ts'
import type { Store } from './state/store.ts'

/** What every step of a running restore works with. */
export interface RestoreContext {
  options: RestoreOptions
  store: Store
  toolLock: ToolLock
  /** `<state-dir>/<restore id>`: tools' stderr, status files, what remains of the backup's metadata. */
  runDir: string
  /** Aborted by Ctrl-C, SIGTERM, or a watchdog; the reason is a RestoreError. */
  signal: AbortSignal
  /** Ends the restore with this error: the tools are ended, what it made is removed. */
  abort: (reason: RestoreError) => void
  /** The restore was let go of: nothing begins or ends any more, all that follows is the next agent's (run-session.ts). */
  detached: () => boolean
  /** Hears of an error that should not exist, with its stack. */
  onBug: (error: Error) => void
  now: () => number
  /** What a tool whose span has this id finds in its environment besides ours: its trace context. */
  toolEnv: (spanId: string) => Readonly<Record<string, string>>
}

/** What a restore that was let go of waits for. */
export const NEVER = new Promise<never>(() => {})

/** A notice for the person, unless this restore has given it before: steps can be done again. */
export function noticeOnce({ store, now }: RestoreContext, text: string): void {
  if (!store.state.notices.includes(text)) store.dispatch({ type: 'notice', atMs: now(), text })
}
