import { loadRestoreOptions } from '../config/load.ts'
import type { RestoreOptions } from '../config/options.ts'
import { exitCodeOf, type RestoreError } from '../errors.ts'
import type { RestoreSession } from '../restore/run-session.ts'
import { startSession } from '../restore/session.ts'
import type { Telemetry } from '../telemetry/off.ts'
import { startTelemetry } from '../telemetry/telemetry.ts'
import { dryRun } from './dry-run.ts'
import { reportError } from './report-error.ts'
import { flagsToKeys } from './restore-flags.ts'
import { dieOf, endOnSignals } from './signals.ts'
import { version } from './version.ts'
import { chooseView, createView, viewObserver } from './view.ts'

/** `restore-agent restore`. Returns the exit code; a failed restore is reported, not thrown. */
export async function restoreCommand(
  sources: string[],
  flags: Readonly<Record<string, unknown>> & { config?: string },
): Promise<number> {
  const given = flagsToKeys(flags)
  const options = await loadRestoreOptions(
    { ...given, ...(sources.length > 0 && { source: sources }) },
    flags.config ?? null,
    { cwd: process.cwd(), env: process.env, isRoot: process.getuid?.() === 0, nowMs: Date.now() },
  )
  return options.dryRun ? dryRun(options) : restore(options)
}

async function restore(options: RestoreOptions): Promise<number> {
  const choice = chooseView({
    stderrIsTty: process.stderr.isTTY === true,
    json: options.json,
    quiet: options.quiet,
    noColor: !options.color,
    env: process.env,
  })
  const print = (text: string): void => void process.stderr.write(`warning: ${text}\n`)
  // A warning before the restore becomes its first notice, so that --json, the API and the view show it.
  const early: string[] = []
  let warn = (text: string): void => void early.push(text)
  // First, before anything must be cleaned up: the cursor, the state, adopted tools.
  let session: RestoreSession | null = null
  let ending: RestoreError | null = null
  const stopListening = endOnSignals(
    reason => {
      ending = reason
      session?.abort(reason)
    },
    name => (session === null ? dieOf(name) : session.kill()),
  )
  const telemetry = await startTelemetry({ env: process.env, version, warn: text => warn(text) })
  const view = createView({ ...choice, stdout: process.stdout, stderr: process.stderr })
  try {
    session = await startSession(options, {
      observers: [telemetry, viewObserver(view)],
      beginTrace: () => beginTrace(telemetry),
      childEnv: telemetry.childEnv,
      onSpansExported: telemetry.onSpansExported,
      warn: text => warn(text),
    })
    if (ending !== null) session.abort(ending)
    const { store, notice } = session
    warn = notice
    for (const text of early.splice(0)) {
      if (choice.kind === 'quiet' || choice.kind === 'json') print(text)
      if (!store.state.notices.includes(text)) warn(text)
    }
    const state = await session.done
    warn = print
    view.close()
    if (state.success) session.markReported()
    if (state.error) reportError(state.error, process, { json: options.json, color: choice.color })
    return state.error ? exitCodeOf(state.error.code) : 0
  } finally {
    stopListening()
    view.close()
    early.splice(0).forEach(print)
    warn = print
    await telemetry.shutdown()
  }
}

/** The caller's trace context belongs to this process; tools get their own. */
function beginTrace(telemetry: Telemetry): ReturnType<Telemetry['beginTrace']> {
  const begun = telemetry.beginTrace()
  if (telemetry.enabled) for (const name of ['TRACEPARENT', 'TRACESTATE', 'BAGGAGE']) delete process.env[name]
  return begun
}
