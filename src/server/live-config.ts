import { isDeepStrictEqual } from 'node:util'
import type { ServeConfig } from '../config/serve-config.ts'
import type { Address } from '../config/serve-schema.ts'
import { toRestoreError } from '../errors.ts'
import type { Phase } from '../phases.ts'
import type { RestoreState } from '../restore/state/state.ts'
import type { AgentLog } from './agent-log.ts'

/**
 * The configuration in force, and its reload.
 *
 * Most keys apply at once, because a running restore keeps the options that it began with. Two can disturb a restore
 * and wait (`mayApply`). An invalid file changes nothing, and neither does an address that cannot be opened.
 */
export interface LiveConfig {
  readonly current: ServeConfig
  readonly loadedAtMs: number
  /** Why the newest file is not in force; null if it is in force. */
  readonly error: string | null
  /** Keys of the newest file whose change waits. */
  readonly pending: readonly PendingKey[]
  /** Reads the file again. Never rejects. */
  reload(): Promise<void>
  /** Applies the waiting keys that may change now. Never rejects. */
  applyPending(): Promise<void>
  /** The token that a request to this address must show. */
  token(bound: Address): string | null
}

export type PendingKey = 'listen' | 'state_dir'

export interface LiveConfigSurroundings {
  load(): Promise<ServeConfig>
  /** The restore that runs; `starting` before its first state, null if none runs. */
  running(): Pick<RestoreState, 'phase'> | 'starting' | null
  /** Each applies the value, or throws and changes nothing. */
  set: { listen(address: Address): Promise<void>; state_dir(stateDir: string): void }
  /** Called after a change of the configuration in force. */
  applied(config: ServeConfig): void
  log: AgentLog
}

/** Phases whose work a disturbed restore would begin again. */
const NOT_SAFE: readonly Phase[] = ['restoring_basebackup', 'preparing_backup']

/**
 * MyHoard's rule for an address: not while a backup is fetched or prepared. The state dir of a restore never changes.
 */
const mayApply = (key: PendingKey, running: ReturnType<LiveConfigSurroundings['running']>): boolean =>
  running === null || (key === 'listen' && (running === 'starting' || !NOT_SAFE.includes(running.phase)))

export function createLiveConfig(
  first: ServeConfig,
  { load, running, set, applied, log }: LiveConfigSurroundings,
): LiveConfig {
  let current = first
  let wanted = first
  let loadedAtMs = Date.now()
  let error: string | null = null
  let lastToken = first.token
  let work = Promise.resolve()

  const sameListen = () => isDeepStrictEqual(wanted.listen, current.listen)
  const pending = (): PendingKey[] => [
    ...(sameListen() ? [] : (['listen'] as const)),
    ...(wanted.stateDir === current.stateDir ? [] : (['state_dir'] as const)),
  ]

  async function read(): Promise<void> {
    let loaded: ServeConfig
    try {
      loaded = await load()
    } catch (thrown) {
      error = toRestoreError(thrown).message
      log('error', 'reload', `refused, the earlier configuration stays: ${error}`)
      return
    }
    wanted = loaded
    current = { ...loaded, listen: current.listen, stateDir: current.stateDir }
    lastToken = loaded.token ?? lastToken
    loadedAtMs = Date.now()
    error = null
    await apply()
    const waits = pending()
    log('info', 'reload', waits.length > 0 ? `applied; ${waits.join(' and ')} must wait for the restore` : 'applied')
  }

  async function apply(): Promise<void> {
    for (const key of pending()) {
      if (!mayApply(key, running())) continue
      try {
        if (key === 'listen') {
          await set.listen(wanted.listen)
          current = { ...current, listen: wanted.listen }
        } else {
          set.state_dir(wanted.stateDir)
          current = { ...current, stateDir: wanted.stateDir }
        }
        log('info', 'reload', `${key} applied`)
      } catch (thrown) {
        // Only the next reload tries again.
        error = `${key}: ${toRestoreError(thrown).message}`
        wanted = key === 'listen' ? { ...wanted, listen: current.listen } : { ...wanted, stateDir: current.stateDir }
        log('error', 'reload', `refused, the earlier value stays: ${error}`)
      }
    }
    applied(current)
  }

  /** Runs one job at a time, in order. */
  const inTurn = (job: () => Promise<void>): Promise<void> => {
    work = work.then(job)
    return work
  }

  return {
    get current() {
      return current
    },
    get loadedAtMs() {
      return loadedAtMs
    },
    get error() {
      return error
    },
    get pending() {
      return pending()
    },
    reload: () => inTurn(read),
    applyPending: () => (pending().some(key => mayApply(key, running())) ? inTurn(apply) : work),
    // A TCP address that is still open keeps the earlier token if the new file has none.
    token: bound => current.token ?? ('path' in bound ? null : lastToken),
  }
}
