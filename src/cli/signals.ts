import { RestoreError } from '../errors.ts'

/** A launcher (npm, a shell) passes on what the terminal has sent us already: that is the same Ctrl-C, not a second one. */
const SAME_SIGNAL_MS = 500

/**
 * Ctrl-C and SIGTERM end a restore in order: tools, debris, spans, exit code 130 or 143. SIGHUP, a lost terminal, does the
 * same as SIGTERM. A second signal does not wait for the tools: `kill` ends them at once. Returns what stops listening.
 */
export function endOnSignals(abort: (reason: RestoreError) => void, kill: () => void): () => void {
  let firstAtMs: number | null = null
  const handle = (name: NodeJS.Signals) => {
    if (firstAtMs !== null) {
      if (performance.now() - firstAtMs > SAME_SIGNAL_MS) kill()
      return
    }
    firstAtMs = performance.now()
    abort(
      name === 'SIGINT'
        ? new RestoreError('cancelled', 'cancelled by Ctrl-C')
        : new RestoreError('terminated', `ended by ${name}`),
    )
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, handle)
  return () => {
    for (const name of names) process.off(name, handle)
  }
}
