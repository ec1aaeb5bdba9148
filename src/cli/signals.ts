import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { RestoreError } from '../errors.ts'
import { DUPLICATE_SIGNAL_MS } from '../process/duplicate-signal.ts'

/**
 * Ctrl-C and SIGTERM end a restore in order: tools, cleanup, spans, exit code 130 or 143. SIGHUP, a lost terminal, does
 * the same as SIGTERM, and nothing under nohup. A second signal does not wait for the tools: `kill` ends them at once.
 * Returns a function that removes the listeners.
 */
export function endOnSignals(
  abort: (reason: RestoreError) => void,
  kill: (name: NodeJS.Signals) => void,
  ignoresHangup = isUnderNohup(),
): () => void {
  let firstAtMs: number | null = null
  const handle = (name: NodeJS.Signals) => {
    if (firstAtMs !== null) {
      if (performance.now() - firstAtMs > DUPLICATE_SIGNAL_MS) kill(name)
      return
    }
    firstAtMs = performance.now()
    abort(
      name === 'SIGINT'
        ? new RestoreError('cancelled', 'cancelled by Ctrl-C')
        : new RestoreError('terminated', `ended by ${name}`),
    )
  }
  const names: NodeJS.Signals[] = ignoresHangup ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const name of names) process.on(name, handle)
  if (ignoresHangup) process.on('SIGHUP', ignore) // ignored for good, as under nohup
  return () => {
    for (const name of names) process.off(name, handle)
  }
}

const ignore = () => {}

/** For commands without cleanup: the first signal ends them. */
export async function untilSignal<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const stopListening = endOnSignals(
    reason => controller.abort(reason),
    name => dieOf(name),
  )
  try {
    return await work(controller.signal)
  } finally {
    stopListening()
  }
}

/** Ends this process at once as the signal would without a listener. */
export function dieOf(name: NodeJS.Signals): void {
  process.removeAllListeners(name)
  process.kill(process.pid, name)
}

/**
 * Whether the starter wants SIGHUP ignored. Node resets every signal to its default before this code runs, so it is
 * detected elsewhere: bash and zsh put the command they ran, nohup, into `_`; and a shell that ignores SIGHUP itself
 * (`trap '' HUP`) meant its commands too.
 */
function isUnderNohup(): boolean {
  if (basename(process.env._ ?? '') === 'nohup') return true
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, 'latin1')
    const ignored = BigInt(`0x${/^SigIgn:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
    return (ignored & 1n) !== 0n // SIGHUP is 1
  } catch {
    return false // gone
  }
}
