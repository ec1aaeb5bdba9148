import type { ServeConfig } from '../config/serve-config.ts'
import { type Address, isLoopback } from '../config/serve-schema.ts'
import { toRestoreError } from '../errors.ts'
import type { AgentLog } from './agent-log.ts'

/**
 * The configuration in force, and how another one takes its place.
 *
 * What a running restore cannot notice applies at once: hooks, token, backups, defaults (a restore keeps what it began with),
 * history, on_term. Where the agent listens waits until it is safe (safe-to-reload.ts), where it keeps its state until no
 * restore runs. A file that is not right changes nothing, and neither does an address that cannot be had.
 */
export interface LiveConfig {
  readonly current: ServeConfig
  readonly loadedAtMs: number
  /** Why the newest file is not in force; null where it is. */
  readonly error: string | null
  /** Keys of the newest file that wait. */
  readonly pending: readonly PendingKey[]
  /** Reads the file again. Never rejects. */
  reload(): Promise<void>
  /** Applies what waits, if it may be applied now. Never rejects. */
  applyPending(): Promise<void>
  /** The token that a request to this address must show. */
  token(bound: Address): string | null
}

export type PendingKey = 'listen' | 'state_dir'

export interface LiveConfigSurroundings {
  load(): Promise<ServeConfig>
  maySet(key: PendingKey): boolean
  /** Make it so, or throw and leave everything as it was. */
  set: { listen(address: Address): Promise<void>; state_dir(stateDir: string): void }
  /** A configuration has come into force, in whole or in part. */
  applied(config: ServeConfig): void
  log: AgentLog
}

export function createLiveConfig(
  first: ServeConfig,
  { load, maySet, set, applied, log }: LiveConfigSurroundings,
): LiveConfig {
  let current = first
  let wanted = first
  let loadedAtMs = Date.now()
  let error: string | null = null
  let lastToken = first.token
  let work = Promise.resolve()

  const sameListen = () => wanted.listen.host === current.listen.host && wanted.listen.port === current.listen.port
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
      log('error', 'reload', `refused, the configuration before stays: ${error}`)
      return
    }
    wanted = loaded
    current = { ...loaded, listen: current.listen, stateDir: current.stateDir }
    lastToken = loaded.token ?? lastToken
    loadedAtMs = Date.now()
    error = null
    await apply()
    const waits = pending()
    log('info', 'reload', waits.length > 0 ? `applied, but for ${waits.join(' and ')}, until it is safe` : 'applied')
  }

  async function apply(): Promise<void> {
    for (const key of pending()) {
      if (!maySet(key)) continue
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
        // Not tried again: the next reload may.
        error = `${key}: ${toRestoreError(thrown).message}`
        wanted = key === 'listen' ? { ...wanted, listen: current.listen } : { ...wanted, stateDir: current.stateDir }
        log('error', 'reload', `refused, the one before stays: ${error}`)
      }
    }
    applied(current)
  }

  /** One at a time, in the order they were asked for. */
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
    applyPending: () => (pending().some(maySet) ? inTurn(apply) : work),
    // A token that the new file no longer has is needed for as long as the old address is open to others.
    token: bound => current.token ?? (isLoopback(bound) ? null : lastToken),
  }
}
