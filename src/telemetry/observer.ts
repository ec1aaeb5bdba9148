import { logs, metrics, trace } from '@opentelemetry/api'
import type { RestoreEvent, RestoreState } from '../restore/state.ts'
import { makeDelivery } from './delivery.ts'
import { emitTo, makeRestoreLog } from './logs.ts'
import { type OwnCounts, observeMetrics } from './metrics.ts'
import type { Sdk } from './sdk.ts'
import { definedEnv } from './settings.ts'
import { exportSpan } from './spans.ts'
import type { Telemetry, TelemetryOptions } from './telemetry.ts'
import { makeToolLog } from './tool-log.ts'
import { beginTrace, childEnv } from './trace-context.ts'

const SCOPE = 'restore-agent'

/** Telemetry as an observer of states: what an event changed is handed to the SDK's queues, and everything else is its business. */
export function observeWithSdk(sdk: Sdk, { env, version, warn }: TelemetryOptions): Telemetry {
  const [hasTraces, hasLogs] = [sdk.spanProcessors.length > 0, sdk.logRecordProcessors.length > 0]
  const tracer = trace.getTracer(SCOPE, version)
  const own: OwnCounts = { linesDropped: {}, errors: {} }
  let latest: RestoreState | null = null
  const recordPhase = observeMetrics({
    meter: metrics.getMeter(SCOPE, version),
    readers: sdk.metricReaders.length,
    latest: () => latest,
    own,
  })
  const emit = emitTo(logs.getLogger(SCOPE, version))
  const tellRestore = makeRestoreLog(emit)
  const tellTools = makeToolLog(emit, own)
  const countErrors = makeErrorCount(own)
  const delivery = makeDelivery([...sdk.spanProcessors, ...sdk.metricReaders, ...sdk.logRecordProcessors])
  const inherited = definedEnv(env)
  let failed = false

  const look = (state: RestoreState, event: RestoreEvent) => {
    const before = latest
    latest = state
    countErrors(state, event)
    for (const span of state.endedSpans) {
      if (span.kind === 'phase') recordPhase(state, span)
      exportSpan(tracer, sdk.ids, state.trace, span)
    }
    if (hasLogs) {
      tellRestore(state, event)
      tellTools(state, event)
    }
    const begins = state.endedSpans.some(({ kind }) => kind === 'restore_started')
    if (begins || before?.phase !== state.phase || before.attempt !== state.attempt) delivery.flush()
  }

  return {
    enabled: true,
    beginTrace() {
      const begun = beginTrace(env, sdk.ids)
      // Without a trace exporter the API repeats the caller's flags, and children would hang on spans that never come.
      return hasTraces ? begun : { ...begun, trace: { ...begun.trace, flags: 0 } }
    },
    childEnv: (spanId, state) => (hasTraces ? childEnv(inherited, spanId, state) : { ...inherited }),
    observe(state, event) {
      try {
        look(state, event)
      } catch (thrown) {
        if (!failed) warn(`telemetry: ${thrown instanceof Error ? thrown.message : thrown} (said once)`)
        failed = true
      }
    },
    async shutdown() {
      await delivery.shutdown()
      sdk.dispose()
    },
  }
}

/** One error an attempt that failed, and one for a restore that failed outside of its attempts or for another reason. */
function makeErrorCount({ errors }: OwnCounts): (state: RestoreState, event: RestoreEvent) => void {
  let counted: string | null = null
  return (state, event) => {
    if (event.type === 'attempt_started') counted = null
    for (const { kind, error } of state.endedSpans) {
      if (!error || (kind !== 'attempt' && kind !== 'restore')) continue
      if (kind === 'restore' && error.code === counted) continue
      errors[error.code] = (errors[error.code] ?? 0) + 1
      counted = error.code
    }
  }
}
