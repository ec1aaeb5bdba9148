import { basename } from 'node:path'
import { RECOVERY_OPTIONS, type RestoreOptions, type RestoreSettings } from '../config/options.ts'
import { restoreOptions, type ServeConfig, type ServeSurroundings } from '../config/serve-config.ts'
import type { RestoreError } from '../errors.ts'
import type { RestoreSession, SessionSurroundings } from '../restore/run-session.ts'
import type { resumeSession, startSession } from '../restore/session.ts'
import type { RestoreState } from '../restore/state/state.ts'
import { currentOptions } from '../restore/state/state.ts'
import { isSameChain, nameOfSource } from '../source/source-ref.ts'
import type { AgentLog } from './agent-log.ts'
import type { HistoryEntry, RestoreBody } from './api-schema.ts'
import type { History } from './history.ts'
import { HttpError } from './http-error.ts'
import { historyEntry, type RunFacts, restoreBody } from './restore-body.ts'

/**
 * The one restore at a time that this daemon runs, and those that ended. It observes the session's states and never
 * queries the session: requests to the API cannot slow a restore.
 */
export interface Agent {
  /** Null while none runs. */
  readonly running: RestoreState | null
  /** The API's view of the running restore, or of the last one; made once per state. */
  readonly restore: RestoreBody | null
  /** The running restore first, then ended ones, newest first. */
  readonly history: readonly HistoryEntry[]
  readonly draining: boolean
  /**
   * Resumes the restore that an earlier agent left, if any. Throws as the session does; then the agent cannot start.
   */
  resume(): Promise<void>
  /** The id of the restore that has begun. Throws HttpError, or what the session throws before it begins. */
  start(backup: string, asked?: RestoreSettings): Promise<string>
  /** Whether a restore can be cancelled: from its request on. */
  readonly busy: boolean
  /** Cancels the restore. */
  cancel(reason: RestoreError): void
  /** Refuses new restores from now on. */
  drain(): void
  /**
   * Detaches from the running restore for the next agent; returns its id, null if none runs. A cancelled restore is
   * ended instead. The process must exit afterwards.
   */
  detach(): Promise<string | null>
  /** Sends SIGKILL to the tools of a cancelled restore; does nothing to any other. */
  kill(): void
  /** Resolves as soon as no restore runs. */
  idle(): Promise<void>
}

export interface AgentSurroundings {
  config(): ServeConfig
  /** What each backup's options depend on. */
  place: ServeSurroundings
  history: () => History
  log: AgentLog
  sessions: Sessions
  /** Called with every state after it was written. It must not throw or wait. */
  observe(
    state: RestoreState,
    event: Parameters<SessionSurroundings['observers'][number]['observe']>[1],
    run: RunFacts,
  ): void
  /** Something in GET /status has changed. */
  changed(): void
  beginTrace: SessionSurroundings['beginTrace']
  childEnv: SessionSurroundings['childEnv']
  onSpansExported?: SessionSurroundings['onSpansExported'] | undefined
}

/** restore/session.ts; tests replace it. */
export interface Sessions {
  startSession: typeof startSession
  resumeSession: typeof resumeSession
}

/** A restore, from its request on. */
interface Run extends RunFacts {
  session: RestoreSession | null
  state: RestoreState | null
  /** Why it was cancelled, possibly before its session existed. */
  cancelled: RestoreError | null
}

export function createAgent(around: AgentSurroundings): Agent {
  const { log } = around
  let run: Run | null = null
  let draining = false
  let detached = false
  let made: { state: RestoreState; body: RestoreBody } | null = null
  const waiting: (() => void)[] = []

  const bodyOf = ({ state, ...facts }: Run & { state: RestoreState }): RestoreBody => {
    if (made?.state !== state) made = { state, body: restoreBody(state, facts) }
    return made.body
  }

  /** Opens a session and follows it to its end. */
  async function begin(
    open: (surroundings: SessionSurroundings) => Promise<RestoreSession | null>,
  ): Promise<RestoreSession | null> {
    const own: Run = { backup: '', session: null, state: null, cancelled: null }
    run = own
    try {
      own.session = await open({
        observers: [
          {
            observe(state, event) {
              own.state = state
              own.backup = backupName(around.config(), state)
              around.observe(state, event, own)
              around.changed()
            },
          },
        ],
        beginTrace: around.beginTrace,
        childEnv: around.childEnv,
        ...(around.onSpansExported && { onSpansExported: around.onSpansExported }),
        warn: text => log('warning', 'restore', text),
      })
    } finally {
      if (own.session === null) release(own)
    }
    if (own.cancelled !== null) own.session?.abort(own.cancelled)
    else if (detached) await own.session?.detach()
    own.session?.done.then(
      state => {
        finish(own, state)
        if (state.success) own.session?.markReported()
      },
      thrown => {
        log('error', 'restore', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown))
        release(own)
      },
    )
    return own.session
  }

  /**
   * The current configuration of the backup whose restore was interrupted; null if its name is gone or stands twice.
   */
  function askedNow({ options }: RestoreState): RestoreOptions | null {
    const config = around.config()
    const [backup, ...others] = backupsOf(config, options)
    if (backup === undefined || others.length > 0) return null
    const now = restoreOptions(backup, config, { ...around.place, nowMs: Date.now() })
    // What a request said of binlogs, the configuration does not know.
    return { ...now, ...Object.fromEntries(RECOVERY_OPTIONS.map(option => [option, options[option]])) }
  }

  function finish(own: Run, state: RestoreState): void {
    own.state = state
    around.history().add(bodyOf(own as Run & { state: RestoreState }))
    release(own)
  }

  function release(own: Run): void {
    if (run === own) run = null
    around.changed()
    for (const resolve of waiting.splice(0)) resolve()
  }

  async function idle(): Promise<void> {
    while (run !== null) await new Promise<void>(resolve => waiting.push(resolve))
  }

  const running = (): (Run & { session: RestoreSession; state: RestoreState }) | null =>
    run !== null && run.session !== null && run.state !== null ? (run as ReturnType<typeof running>) : null

  return {
    get running() {
      return run?.state ?? null
    },
    get restore() {
      return run?.state ? bodyOf(run as Run & { state: RestoreState }) : around.history().last
    },
    get history() {
      const ended = around.history().entries
      return run?.state ? [historyEntry(bodyOf(run as Run & { state: RestoreState })), ...ended] : ended
    },
    get busy() {
      return run !== null
    },
    get draining() {
      return draining
    },
    async resume() {
      const { stateDir } = around.config()
      const session = await begin(surroundings => around.sessions.resumeSession(stateDir, askedNow, surroundings))
      if (session !== null) log('info', 'restore', `resumes ${session.store.state.restoreId}`)
    },
    async start(name, asked = {}) {
      if (draining) throw new HttpError('draining', 'the agent takes no new restore')
      if (run !== null) throw new HttpError('restore_running', 'another restore runs')
      const config = around.config()
      const backup = config.backups.find(candidate => candidate.name === name)
      if (backup === undefined) throw new HttpError('unknown_backup', 'no backup of this name is configured')
      const options = restoreOptions(backup, config, { ...around.place, nowMs: Date.now() }, asked)
      const session = await begin(surroundings => around.sessions.startSession(options, surroundings, name))
      return session!.store.state.restoreId
    },
    cancel(reason) {
      if (run === null) return
      run.cancelled ??= reason
      run.session?.abort(reason)
    },
    drain() {
      draining = true
      around.changed()
    },
    async detach() {
      detached = true
      if (run?.cancelled) await idle()
      const now = running()
      await now?.session.detach()
      return now?.state.restoreId ?? null
    },
    kill() {
      if (run?.cancelled) run.session?.kill()
    },
    idle,
  }
}

/**
 * The name of the current backup: as requested, or for an older one its name in the configuration, or that of its first
 * file.
 */
function backupName(config: ServeConfig, state: RestoreState): string {
  // If every backup failed, the error is that of the one requested.
  const backupIndex = state.phase === 'failed_basebackup' ? 0 : state.backupIndex
  if (backupIndex === 0 && state.backup !== null) return state.backup
  const now = currentOptions({ ...state, backupIndex })
  return backupsOf(config, now)[0]?.name ?? basename(nameOfSource(now.sources[0]!))
}

const backupsOf = ({ backups }: ServeConfig, { sources, datadir }: Pick<RestoreOptions, 'sources' | 'datadir'>) =>
  backups.filter(({ settings }) => settings.datadir === datadir && isSameChain(settings.source, sources))
