import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { loadRestoreOptions, type RestoreFlags } from '../config/load.ts'
import type { RestoreOptions } from '../config/options.ts'
import { exitCodeOf } from '../errors.ts'
import { acquireLock } from '../process/lock.ts'
import type { RestoreContext } from '../restore/context.ts'
import { runRestore } from '../restore/coordinator.ts'
import { initialState } from '../restore/initial-state.ts'
import type { AttributeValue } from '../restore/state.ts'
import { ensureStateDir } from '../restore/state-dir.ts'
import { createStore, type Store, writeStateFile } from '../restore/store.ts'
import { startTelemetry, type Telemetry } from '../telemetry/telemetry.ts'
import { dryRun } from './dry-run.ts'
import { reportError } from './report-error.ts'
import { endOnSignals } from './signals.ts'
import { version } from './version.ts'
import { chooseView, createView, type View } from './view.ts'

/** Flags as commander names them, to the keys of restore.yaml. */
export function flagsToKeys(flags: object): RestoreFlags {
  const snake = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
  const keys = Object.entries(flags).map(([name, value]) => [snake(name), value] as const)
  const renamed = keys
    .filter(([name]) => name !== 'config')
    .map(([name, value]) => [name === 'stall_threshold' ? 'stall_thresholds' : name, value] as const)
    // --no-color: commander gives true where nothing was said.
    .filter(([name, value]) => !(name === 'color' && value === true))
  return Object.fromEntries(renamed) as RestoreFlags
}

/** `restore-agent restore`. Returns the exit code; a failed restore is reported, not thrown. */
export async function restoreCommand(sources: string[], flags: { config?: string }): Promise<number> {
  const given = flagsToKeys(flags)
  const options = await loadRestoreOptions(
    { ...given, ...(sources.length > 0 && { source: sources }) },
    flags.config ?? null,
    { cwd: process.cwd(), env: process.env, isRoot: process.getuid?.() === 0, nowMs: Date.now() },
  )
  return options.dryRun ? dryRun(options) : restore(options)
}

const newRestoreId = (): string =>
  `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}-${randomBytes(3).toString('hex')}`

async function restore(options: RestoreOptions): Promise<number> {
  ensureStateDir(options.stateDir)
  const lock = acquireLock(join(options.stateDir, 'lock'))
  const restoreId = newRestoreId()
  const runDir = join(options.stateDir, restoreId)
  const choice = chooseView({
    stderrIsTty: process.stderr.isTTY === true,
    json: options.json,
    quiet: options.quiet,
    noColor: !options.color,
    env: process.env,
  })
  const warn = (text: string) => process.stderr.write(`warning: ${text}\n`)
  const telemetry = await startTelemetry({ env: process.env, version, warn })
  const view = createView({ ...choice, stdout: process.stdout, stderr: process.stderr })
  const store = openStore(options, restoreId, telemetry, view, warn)
  const ending = endOnSignals()
  const context: RestoreContext = {
    options,
    store,
    lock,
    runDir,
    signal: ending.signal,
    abort: ending.abort,
    onBug: error => process.stderr.write(`${error.stack}\n`),
    now: Date.now,
    toolEnv: spanId => telemetry.childEnv(spanId, store.state),
  }
  try {
    const state = await runRestore(context)
    view.close({ runDir, binlog: state.plan?.elements.at(-1)?.description.binlog ?? null })
    if (state.error) reportError(state.error, process, { json: options.json, color: choice.color })
    await telemetry.shutdown()
    return state.error ? exitCodeOf(state.error.code) : 0
  } finally {
    view.close()
    ending.stop()
    lock.release()
  }
}

function openStore(
  options: RestoreOptions,
  restoreId: string,
  telemetry: Telemetry,
  view: View,
  warn: (text: string) => void,
): Store {
  const { trace, link } = telemetry.beginTrace()
  if (telemetry.enabled) for (const name of ['TRACEPARENT', 'TRACESTATE', 'BAGGAGE']) delete process.env[name]
  const atMs = Date.now()
  const stateFile = join(options.stateDir, 'state.json')
  const once = saidOnce(warn)
  return createStore(
    initialState(
      {
        restoreId,
        agentPid: process.pid,
        trace,
        link,
        attributes: shortPlan(options),
        stallThresholds: stallThresholds(options),
      },
      atMs,
    ),
    { type: 'restore_started', atMs },
    {
      observers: [telemetry, view],
      write: (state, durable) => writeStateFile(stateFile, state, durable),
      onWriteError: error => once(`cannot write ${stateFile}: ${(error as Error).message}`),
      onObserverError: error => once(`an observer failed: ${(error as Error).message}`),
    },
  )
}

/** A complaint that would come with every event is made once. */
function saidOnce(warn: (text: string) => void): (text: string) => void {
  const said = new Set<string>()
  return text => {
    if (said.has(text)) return
    said.add(text)
    warn(text)
  }
}

const shortPlan = (options: RestoreOptions): Record<string, AttributeValue> => ({
  'restore.backup': options.sources.join(' '),
  'restore.datadir': options.datadir,
  'restore.chain.length': options.sources.length,
})

const stallThresholds = ({ stallTimeoutMs, stallThresholds: byStep }: RestoreOptions) => ({
  ...(stallTimeoutMs !== null && { default: stallTimeoutMs }),
  ...byStep,
})
