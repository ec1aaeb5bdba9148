import { loadServeConfig, type ServeSurroundings } from '../config/serve-config.ts'
import { RestoreError } from '../errors.ts'
import { resumeSession, startSession } from '../restore/session.ts'
import type { Observer } from '../restore/state/state.ts'
import { forgetSent, leftSpans } from '../restore/state/state-dir.ts'
import { type AgentLog, createAgentLog } from '../server/agent-log.ts'
import { restoreBody } from '../server/restore-body.ts'
import { type Served, serve } from '../server/serve.ts'
import { startTelemetry } from '../telemetry/telemetry.ts'
import { errorLines } from './report-error.ts'
import { version } from './version.ts'
import { plainLines } from './views/plain-view.ts'

export interface ServeFlags {
  config?: string
  onTerm?: string
  logFormat?: string
}

/** `restore-agent serve`. Returns 0 after it was stopped or drained; throws what keeps it from starting. */
export async function serveCommand(flags: ServeFlags): Promise<number> {
  if (flags.config === undefined) throw new RestoreError('usage', '--config: missing; give the serve.yaml')
  const onTerm = oneOf('--on-term', flags.onTerm, ['detach', 'cancel'] as const)
  const format = oneOf('--log-format', flags.logFormat, ['plain', 'json'] as const) ?? 'plain'
  const log = createAgentLog(format, line => process.stderr.write(line))
  // The reader of the log may exit; the restore continues.
  process.stderr.on('error', () => {})

  const place: ServeSurroundings = { cwd: process.cwd(), env: process.env, isRoot: process.getuid?.() === 0 }
  const load = () => loadServeConfig(flags.config!, place)
  const config = await load()

  let served: Served | null = null
  let ending: RestoreError | null = null
  const stop = (name: NodeJS.Signals) => {
    ending ??= new RestoreError('terminated', `ended by ${name}`)
    served?.stop(ending, onTerm ?? undefined)
  }
  const reload = () => void served?.reload()
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', reload)

  const telemetry = await startTelemetry({
    env: withoutCaller(process.env),
    version,
    warn: text => log('warning', 'telemetry', text),
  })
  try {
    served = await serve({
      config,
      load,
      place,
      version,
      sessions: { startSession, resumeSession },
      observers: [telemetry, logStates(log)],
      beginTrace: () => telemetry.beginTrace(),
      childEnv: telemetry.childEnv,
      onSpansExported: telemetry.onSpansExported,
      log,
    })
    const left = leftSpans(config.stateDir)
    if (left.length > 0) {
      telemetry.onSpansExported(ids => forgetSent(config.stateDir, ids))
      telemetry.resend(left)
    }
    if (ending !== null) served.stop(ending, onTerm ?? undefined)
    await served.ended
    return 0
  } finally {
    process.off('SIGTERM', stop).off('SIGINT', stop).off('SIGHUP', reload)
    await telemetry.shutdown()
  }
}

function oneOf<const T extends string>(flag: string, value: string | undefined, words: readonly T[]): T | null {
  if (value === undefined) return null
  const found = words.find(word => word === value)
  if (found === undefined) throw new RestoreError('usage', `${flag}: must be one of ${words.join(', ')}`)
  return found
}

/** Each restore has a trace of its own: the daemon's starter did not request any of them. */
function withoutCaller(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { TRACEPARENT: _parent, TRACESTATE: _state, BAGGAGE: _baggage, ...rest } = env
  return rest
}

/** Logs the lines that `restore` prints without a terminal. */
function logStates(log: AgentLog): Observer {
  let shown: Parameters<typeof plainLines>[0] = null
  return {
    observe(state) {
      const body = restoreBody(state, { backup: state.backup ?? '' })
      const { next, lines } = plainLines(shown?.body.restore_id === body.restore_id ? shown : null, body)
      const ends = state.status !== 'running' && shown?.body.status === 'running'
      shown = next
      for (const line of lines) log('info', 'restore', line)
      if (ends && state.error !== null) for (const line of errorLines(state.error)) log('error', 'restore', line)
    },
  }
}
