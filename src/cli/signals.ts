import { RestoreError } from '../errors.ts'

/**
 * Ctrl-C and SIGTERM end a restore in order: tools, debris, spans, exit code 130 or 143. SIGHUP, a lost terminal, does the
 * same as SIGTERM. A second signal waits for nothing: SIGKILL to the tools' groups is `kill`'s work, then the process ends.
 * Returns what stops listening.
 */
export function endOnSignals(abort: (reason: RestoreError) => void, kill: () => void): () => void {
  let first = true
  const handle = (name: NodeJS.Signals) => {
    const reason =
      name === 'SIGINT'
        ? new RestoreError('cancelled', 'cancelled by Ctrl-C')
        : new RestoreError('terminated', `ended by ${name}`)
    if (!first) {
      kill()
      return
    }
    first = false
    abort(reason)
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, handle)
  return () => {
    for (const name of names) process.off(name, handle)
  }
}
