import { type RestoreSettings, restoreSchema } from '../config/options.ts'
import type { ServeConfig, ServeSurroundings } from '../config/serve-config.ts'
import { type Address, addressUrl } from '../config/serve-schema.ts'
import { RestoreError } from '../errors.ts'
import { DUPLICATE_SIGNAL_MS } from '../process/duplicate-signal.ts'
import type { SessionSurroundings } from '../restore/run-session.ts'
import { ensureStateDir } from '../restore/state/state-dir.ts'
import { createAgent, type Sessions } from './agent.ts'
import type { AgentLog } from './agent-log.ts'
import type { RestoreBody, RestoreRequest, StatusBody } from './api-schema.ts'
import { createEventStream } from './event-stream.ts'
import { type Actions, handleRequest, STREAMED } from './handle-request.ts'
import { openHistory } from './history.ts'
import { createHooks } from './hooks.ts'
import { HttpError } from './http-error.ts'
import { type Handle, type Listener, openListener } from './listener.ts'
import { createLiveConfig } from './live-config.ts'
import { openApi } from './open-api.ts'
import { isoOf, restoreStatusBody } from './restore-body.ts'

export interface ServeOptions {
  config: ServeConfig
  /** Reads the configuration again. */
  load(): Promise<ServeConfig>
  place: ServeSurroundings
  version: string
  sessions: Sessions
  /** Observers besides the agent's own. */
  observers: SessionSurroundings['observers']
  beginTrace: SessionSurroundings['beginTrace']
  childEnv: SessionSurroundings['childEnv']
  onSpansExported?: SessionSurroundings['onSpansExported']
  log: AgentLog
}

/** A running agent. */
export interface Served {
  /** Where it listens; a reload may change it. */
  readonly address: Address
  /** What SIGHUP asks for. Never rejects. */
  reload(): Promise<void>
  /**
   * What SIGTERM asks for; a second time, the tools of a restore that is being cancelled get SIGKILL. Tools that were
   * detached are never ended.
   */
  stop(reason: RestoreError, how?: ServeConfig['onTerm']): void
  /** Resolves when it was stopped or is drained, and nothing of it is left but tools that were detached. */
  ended: Promise<void>
}

const HOOKS_GRACE_MS = 5_000

/**
 * From a configuration to an agent that takes requests. Throws `listen_failed`, `not_permitted`, or why it cannot go on
 * with what it found.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { log, version, place } = options
  const startedAtMs = Date.now()
  let ready = false
  let stopping = false
  let history = openHistoryIn(options.config, log)

  const live = createLiveConfig(options.config, {
    load: options.load,
    running: () => agent.running ?? (agent.busy ? 'starting' : null),
    set: {
      listen: rebind,
      state_dir(stateDir) {
        history = openHistoryIn({ ...live.current, stateDir }, log, history.last)
      },
    },
    applied(config) {
      history.keep(config.history)
      events.changed()
    },
    log,
  })
  const hooks = createHooks({ hooks: () => live.current.hooks, childEnv: options.childEnv, log })
  const events = createEventStream(() => JSON.stringify(statusBody()))
  const agent = createAgent({
    config: () => live.current,
    place,
    history: () => history,
    log,
    sessions: options.sessions,
    observe(state, event, run) {
      for (const observer of options.observers) observer.observe(state, event)
      hooks.observe(state, run)
    },
    changed() {
      events.changed()
      // Later: the restore may be on the call stack.
      if (live.pending.length > 0) setImmediate(() => void live.applyPending())
    },
    beginTrace: options.beginTrace,
    childEnv: options.childEnv,
    onSpansExported: options.onSpansExported,
  })

  const statusBody = (): StatusBody => ({
    schema: 1,
    time: isoOf(Date.now()),
    agent: { version, pid: process.pid, started_at: isoOf(startedAtMs), ready, draining: agent.draining },
    config: {
      file: live.current.file,
      loaded_at: isoOf(live.loadedAtMs),
      error: live.error,
      pending: [...live.pending],
    },
    backups: live.current.backups.map(({ name, settings }) => ({ name, elements: settings.source.length })),
    restore: agent.restore,
  })

  const runningId = () => (agent.busy ? (agent.running?.restoreId ?? null) : null)
  let document: object | null = null
  const actions: Actions = {
    async startRestore({ body }) {
      if (!ready) throw new HttpError('not_ready', 'the agent is starting')
      const { backup, ...asked } = body as RestoreRequest
      const restoreId = await agent.start(backup, recoveryOf(asked))
      log('info', 'request', `restore ${restoreId} of ${backup} begins`)
      return { restore_id: restoreId }
    },
    cancelRestore() {
      const restoreId = runningId()
      if (restoreId === null) throw new HttpError('nothing_to_cancel', 'no restore runs')
      agent.cancel(new RestoreError('cancelled', 'cancelled by DELETE /restore'))
      log('info', 'request', `restore ${restoreId} is cancelled`)
      return { restore_id: restoreId }
    },
    drain() {
      if (!agent.draining) log('info', 'request', 'drain: no new restore, the end when none runs')
      agent.drain()
      void agent.idle().then(() => end('drained'))
      return { draining: true, restore_id: runningId() }
    },
    status: statusBody,
    restoreStatus() {
      if (agent.restore === null) throw new HttpError('no_restore', 'no restore has been started here')
      return restoreStatusBody(agent.restore)
    },
    history: () => ({ restores: agent.history }),
    health: () => ({ status: 'ok' }),
    readiness() {
      if (agent.draining) throw new HttpError('draining', 'the agent takes no new restore')
      if (!ready) throw new HttpError('not_ready', 'the agent is starting')
      return { status: 'ok' }
    },
    openApi: () => {
      document ??= openApi(version)
      return document
    },
    events({ response }) {
      events.add(response)
      return STREAMED
    },
  }

  const handle: Handle = (request, response, bound) =>
    void handleRequest(request, response, bound, actions, {
      token: live.token,
      onBug: thrown => log('error', 'internal', thrown instanceof Error ? (thrown.stack ?? '') : String(thrown)),
    })
  let listener = await openListener(options.config.listen, handle)

  /**
   * Opens the new address before it closes the old one. If both use the same port or path, it closes the old one first
   * and opens it again if the new one fails.
   */
  async function rebind(wanted: Address): Promise<void> {
    const old = listener
    const { address: open } = old
    const isSame =
      'path' in wanted ? 'path' in open && wanted.path === open.path : 'port' in open && wanted.port === open.port
    if (!isSame) listener = await openListener(wanted, handle)
    else {
      await old.close()
      listener = await openListener(wanted, handle).catch(async thrown => {
        listener = await openListener(open, handle)
        throw thrown
      })
      return listening(listener)
    }
    listening(listener)
    // Not awaited: a request that is under way still gets its answer.
    void old.close()
  }

  const listening = ({ address }: Listener) => log('info', 'listen', `on ${addressUrl(address)}`)

  let tellEnded: () => void
  const ended = new Promise<void>(resolve => {
    tellEnded = resolve
  })
  async function end(why: string): Promise<void> {
    if (stopping) return
    stopping = true
    events.close()
    await Promise.all([listener.close(), hooks.close(HOOKS_GRACE_MS)])
    log('info', 'end', why)
    tellEnded()
  }

  async function stop(reason: RestoreError, how: ServeConfig['onTerm']): Promise<void> {
    agent.drain()
    if (how === 'detach') {
      // First, so that no answer calls the detached restore cancelled.
      events.close()
      await listener.close()
      const left = await agent.detach()
      return end(
        left === null ? reason.message : `${reason.message}: restore ${left} goes on without us, for the next agent`,
      )
    }
    agent.cancel(reason)
    await agent.idle()
    return end(reason.message)
  }

  listening(listener)
  try {
    await agent.resume()
  } catch (thrown) {
    await end('cannot go on with what an earlier agent left')
    throw thrown
  }
  ready = true
  events.changed()

  let askedAtMs: number | null = null
  return {
    get address() {
      return listener.address
    },
    reload: live.reload,
    stop(reason, how = live.current.onTerm) {
      if (askedAtMs !== null) {
        if (performance.now() - askedAtMs > DUPLICATE_SIGNAL_MS) agent.kill()
        return
      }
      askedAtMs = performance.now()
      void stop(reason, how).catch(thrown => {
        log('error', 'end', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown))
        return end('after an error')
      })
    },
    ended,
  }
}

/** The keys of a request that say how far binlogs are applied, as the configuration's schema reads them. */
function recoveryOf(asked: Omit<RestoreRequest, 'backup'>): RestoreSettings {
  const { success, data, error } = restoreSchema.safeParse(asked)
  if (success) return data
  const { path, message } = error.issues[0]!
  throw new HttpError('bad_request', `${path.join('.')}: ${message}`)
}

function openHistoryIn({ stateDir, history }: ServeConfig, log: AgentLog, before: RestoreBody | null = null) {
  ensureStateDir(stateDir)
  return openHistory(stateDir, history, text => log('warning', 'history', text), before)
}
