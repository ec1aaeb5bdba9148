import { defaultStateDir } from '../config/options.ts'
import { defaultAddress, loadServeConfig, readToken } from '../config/serve-config.ts'
import { addressUrl } from '../config/serve-schema.ts'
import { RestoreError } from '../errors.ts'
import { forgetSent, leftSpans } from '../restore/state/state-dir.ts'
import type { RestoreBody, StatusBody } from '../server/api-schema.ts'
import { type AgentAddress, fetchStatus, followStatus } from '../server/client.ts'
import { startTelemetry } from '../telemetry/telemetry.ts'
import { errorLines, reportError } from './report-error.ts'
import { version } from './version.ts'
import { chooseView, createView } from './view.ts'
import { renderFrame } from './views/frame.ts'
import { jsonState } from './views/json-view.ts'
import type { View } from './views/output.ts'
import { summaryLines } from './views/summary.ts'
import { addToTimeline } from './views/timeline.ts'

export interface StatusFlags {
  url?: string
  config?: string
  tokenFile?: string
  watch?: boolean
  json?: boolean
  color?: boolean
}

/**
 * `restore-agent status`. Returns 0 while a restore runs, after a success, and if there was no restore; else the exit
 * code of the restore that failed. Throws `agent_unreachable` and `agent_refused`.
 */
export async function statusCommand(flags: StatusFlags): Promise<number> {
  const { stateDir, ...agent } = await agentAddress(flags)
  try {
    return await (flags.watch ? watch(agent, flags) : once(agent, flags))
  } finally {
    if (stateDir !== null) await sendLeftSpans(stateDir)
  }
}

/**
 * Exports spans that an ended restore left in this state dir, as the next `restore` or `serve` would. Takes 3 s at
 * most.
 */
async function sendLeftSpans(stateDir: string): Promise<void> {
  const left = leftSpans(stateDir)
  if (left.length === 0) return
  const telemetry = await startTelemetry({ env: process.env, version, warn() {} })
  telemetry.onSpansExported(ids => forgetSent(stateDir, ids))
  telemetry.resend(left)
  await telemetry.shutdown()
}

async function agentAddress({
  url,
  config,
  tokenFile,
}: StatusFlags): Promise<AgentAddress & { stateDir: string | null }> {
  if (url !== undefined && config !== undefined) throw new RestoreError('usage', '--url and --config: give one of them')
  if (url !== undefined && !/^(unix:[^\0]+|https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?)$/i.test(url))
    throw new RestoreError('usage', '--url: must be unix:PATH or a URL such as http://127.0.0.1:8321')
  const token = tokenFile === undefined ? null : await readToken(tokenFile)
  const surroundings = { cwd: process.cwd(), env: process.env, isRoot: process.getuid?.() === 0 }
  if (url !== undefined) return { url: url.replace(/\/+$/, ''), token, stateDir: null }
  if (config === undefined) {
    const stateDir = defaultStateDir(surroundings)
    return { url: addressUrl(defaultAddress(stateDir)), token, stateDir }
  }
  const { listen, token: configured, stateDir } = await loadServeConfig(config, surroundings)
  const local: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const reached = 'path' in listen ? listen : { ...listen, host: local[listen.host] ?? listen.host }
  return { url: addressUrl(reached), token: token ?? configured, stateDir }
}

async function once(agent: AgentAddress, flags: StatusFlags): Promise<number> {
  const status = await fetchStatus(agent)
  const { restore } = status
  if (restore === null) tellNothing(status, flags)
  else if (flags.json) process.stdout.write(`${JSON.stringify(jsonState(restore))}\n`)
  else process.stdout.write(picture(status, restore, flags))
  return exitCode(restore)
}

/** The lines that `restore` would leave on the terminal. */
function picture(status: StatusBody, restore: RestoreBody, { color }: StatusFlags): string {
  const choice = chooseView({
    stderrIsTty: process.stdout.isTTY === true,
    json: false,
    quiet: false,
    noColor: color === false,
    env: process.env,
  })
  const timeline = addToTimeline(null, restore)
  const look = { ...choice, width: Math.max(8, (process.stdout.columns ?? 80) - 1), height: Number.POSITIVE_INFINITY }
  const lines = [
    ...agentLines(status),
    ...renderFrame(restore, timeline, Date.parse(status.time), look),
    ...summaryLines(restore, timeline, choice.color),
    ...(restore.error ? errorLines(errorOf(restore.error), choice.color) : []),
  ]
  return lines.map(line => `${line}\n`).join('')
}

/** Prints nothing after a success. */
const agentLines = ({ agent, config }: StatusBody): string[] => [
  ...(agent.draining ? ['the agent drains: it takes no new restore'] : []),
  ...(config.error === null ? [] : [`the configuration in force is not the newest: ${config.error}`]),
  ...(config.pending.length === 0 ? [] : [`waits until it is safe: ${config.pending.join(', ')}`]),
]

function tellNothing(status: StatusBody, { json }: StatusFlags): void {
  const idle = { schema: 1, type: 'idle', time: status.time }
  process.stdout.write(
    json ? `${JSON.stringify(idle)}\n` : [...agentLines(status), 'no restore'].map(line => `${line}\n`).join(''),
  )
}

const exitCode = (restore: RestoreBody | null): number => restore?.error?.exit_code ?? 0

const INTERRUPTED = 130

/** Draws as `restore` does until the restore ends. Ctrl-C ends the watching, not the restore. */
async function watch(agent: AgentAddress, flags: StatusFlags): Promise<number> {
  const choice = chooseView({
    stderrIsTty: process.stderr.isTTY === true,
    json: flags.json === true,
    quiet: false,
    noColor: flags.color === false,
    env: process.env,
  })
  const stopper = new AbortController()
  const onSignal = () => stopper.abort()
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  // The time on the agent's machine: its times refer to that clock.
  let aheadMs = 0
  let view: View | null = null
  try {
    for await (const status of followStatus(agent, stopper.signal)) {
      const { restore } = status
      if (restore === null) {
        tellNothing(status, flags)
        return 0
      }
      aheadMs = Date.parse(status.time) - Date.now()
      view ??= createView({
        ...choice,
        stdout: process.stdout,
        stderr: process.stderr,
        now: () => Date.now() + aheadMs,
      })
      view.show(restore)
      if (restore.status === 'running') continue
      view.close()
      const { json = false } = flags
      if (restore.error) reportError(errorOf(restore.error), process, { json, color: choice.color })
      return exitCode(restore)
    }
    return INTERRUPTED
  } finally {
    view?.close()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

const errorOf = ({ last_words, ...error }: NonNullable<RestoreBody['error']>) => ({ ...error, lastWords: last_words })
