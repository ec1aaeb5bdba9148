import { RestoreError } from '../errors.ts'

/**
 * Ctrl-C and SIGTERM end a restore in order: tools, debris, spans, exit code 130 or 143. SIGHUP (a lost terminal) does the
 * same as SIGTERM. A second signal leaves at once; the tools are killed by `onSecond`.
 */
export interface Ending {
  signal: AbortSignal
  abort: (reason: RestoreError) => void
  stop: () => void
}

export function endOnSignals(onSecond: () => void = () => {}): Ending {
  const controller = new AbortController()
  const handle = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) onSecond()
    else
      controller.abort(
        name === 'SIGINT'
          ? new RestoreError('cancelled', 'cancelled by Ctrl-C')
          : new RestoreError('terminated', `ended by ${name}`),
      )
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, handle)
  return {
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    stop() {
      for (const name of names) process.off(name, handle)
    },
  }
}
