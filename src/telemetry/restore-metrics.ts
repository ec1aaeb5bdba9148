import type { RestoreEvent, RestoreState } from '../restore/state/state.ts'
import { makeDelivery } from './delivery.ts'
import { type OwnCounts, observeMetrics } from './metrics.ts'
import type { RestoreMetrics } from './sdk.ts'

/** The metrics of one restore, up to its last export. */
export interface MeteredRestore {
  readonly own: OwnCounts
  observe(state: RestoreState, event: RestoreEvent): void
  /** Not to be awaited. */
  flush(): void
  /**
   * Exports the last state and ends the provider. Resolves when the backend took it or the exporter gave up; never
   * rejects.
   */
  end(): Promise<void>
}

export function meterRestore({ meter, pushed, readers, ended }: RestoreMetrics): MeteredRestore {
  const own: OwnCounts = { linesDropped: {}, errors: {} }
  let latest: RestoreState | null = null
  let ending: Promise<void> | null = null
  const recordPhase = observeMetrics({ meter, readers, latest: () => latest, own })
  const countErrors = makeErrorCount(own)
  const delivery = makeDelivery(pushed)
  return {
    own,
    observe(state, event) {
      if (ending) return
      latest = state
      countErrors(state, event)
      for (const span of state.endedSpans) if (span.kind === 'phase') recordPhase(state, span)
    },
    flush: delivery.flush,
    end() {
      if (!ending) ended()
      ending ??= delivery.end()
      return ending
    },
  }
}

/**
 * Counts one error for each failed attempt, and one for a restore that failed outside its attempts or for another
 * reason.
 */
function makeErrorCount({ errors }: OwnCounts): (state: RestoreState, event: RestoreEvent) => void {
  let counted: string | null = null
  return (state, event) => {
    if (event.type === 'attempt_started') counted = null
    for (const { kind, error } of state.endedSpans) {
      if (!error || (kind !== 'attempt' && kind !== 'outcome')) continue
      if (kind === 'outcome' && error.code === counted) continue
      errors[error.code] = (errors[error.code] ?? 0) + 1
      counted = error.code
    }
  }
}
