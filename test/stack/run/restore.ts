import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { ROOT } from './services.ts'
import type { Stack } from './stack.ts'

/** A real restore by the real command, with telemetry to a stack. */
export interface Restore {
  pid: number
  stateDir: string
  datadir: string
  /** The state file; null while there is none. */
  state(): RestoreFile | null
  /** Waits until the state file says so. */
  until(what: string, holds: (state: RestoreFile) => boolean, withinMs?: number): Promise<RestoreFile>
  /** Exit code when it has ended; null where it was killed. */
  ended: Promise<{ exitCode: number | null; stderr: string; durationMs: number }>
  kill(signal: NodeJS.Signals): void
}

/** As much of state.json as the tests read. */
export interface RestoreFile {
  restoreId: string
  status: string
  phase: string
  step: string | null
  trace: { traceId: string }
  tools: { name: string; pgid: number; stderrPath: string }[]
}

export interface RestoreRequest {
  sources: readonly string[]
  /** A directory of this restore's own. */
  directory: string
  /** Without it, no OTLP. */
  otlpUrl?: string
  exportIntervalMs?: number
  flags?: readonly string[]
  env?: Record<string, string>
}

/** A restore into a new directory of the stack's, with so little memory that prepare works in batches. */
export function requestIn(
  stack: Stack,
  backup: string,
  { name = 'restore', exportIntervalMs = 2000, flags = [] as readonly string[] } = {},
): RestoreRequest {
  const directory = join(stack.directory, name)
  mkdirSync(directory)
  return {
    sources: [backup],
    directory,
    otlpUrl: stack.otlpUrl,
    exportIntervalMs,
    flags: ['--use-memory', '64M', ...flags],
  }
}

export function startRestore({
  sources,
  directory,
  otlpUrl,
  exportIntervalMs,
  flags = [],
  env,
}: RestoreRequest): Restore {
  const stateDir = join(directory, 'state')
  const datadir = join(directory, 'data')
  const began = Date.now()
  const places = ['--datadir', datadir, '--state-dir', stateDir]
  const child = execa(process.execPath, ['src/main.ts', 'restore', ...sources, ...places, ...flags], {
    cwd: ROOT,
    reject: false,
    stdin: 'ignore',
    env: {
      ...(otlpUrl && { OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl }),
      ...(exportIntervalMs && { OTEL_METRIC_EXPORT_INTERVAL: String(exportIntervalMs) }),
      ...env,
    },
  })
  let over: string | null = null
  const ended = child.then(({ exitCode, stderr }) => {
    over = `ended with ${exitCode}:\n${stderr}`
    return { exitCode: exitCode ?? null, stderr, durationMs: Date.now() - began }
  })
  const state = () => readState(stateDir)
  return {
    pid: child.pid!,
    stateDir,
    datadir,
    state,
    ended,
    async until(what, holds, withinMs = 60_000) {
      const deadline = Date.now() + withinMs
      while (true) {
        const now = state()
        if (now && holds(now)) return now
        if (over !== null || Date.now() > deadline)
          throw new Error(`waited for ${what}; the restore is in ${now?.phase} ${now?.step} and ${over ?? 'runs'}`)
        await sleep(20)
      }
    },
    kill: signal => void child.kill(signal),
  }
}

function readState(stateDir: string): RestoreFile | null {
  try {
    return JSON.parse(readFileSync(join(stateDir, 'state.json'), 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Stops the tool that prepares as soon as it runs; gives back its process group. */
export async function holdPrepare(restore: Restore): Promise<number> {
  const isPrepare = ({ phase, tools }: RestoreFile) => phase === 'preparing_backup' && tools.length > 0
  const { tools } = await restore.until('prepare', isPrepare)
  const { pgid } = tools[0]!
  process.kill(-pgid, 'SIGSTOP')
  return pgid
}

/** Polls until it gives something other than null, undefined or false. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T | null | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + withinMs
  while (true) {
    const got = await ask()
    if (got !== null && got !== undefined && got !== false) return got
    if (Date.now() > deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`)
    await sleep(200)
  }
}
