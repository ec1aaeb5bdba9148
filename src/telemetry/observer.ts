import { logs } from '@opentelemetry/api'
import type { RestoreEvent, RestoreState } from '../restore/state/state.ts'
import { makeDelivery, untilDelivered } from './delivery.ts'
import { emitTo, makeRestoreLog } from './logs.ts'
import type { Telemetry, TelemetryOptions } from './off.ts'
import { type MeteredRestore, meterRestore } from './restore-metrics.ts'
import { SCOPE, type Sdk } from './sdk.ts'
import { definedEnv } from './settings.ts'
import { makeToolLog } from './tool-log.ts'
import { beginTrace, childEnv } from './trace-context.ts'

/** What is remembered of one restore. */
interface Watched {
  restoreId: string
  before: RestoreState | null
  metrics: MeteredRestore
  logRestore: ReturnType<typeof makeRestoreLog>
  logTools: ReturnType<typeof makeToolLog>
}

/**
 * Telemetry as an observer of states: it hands each change to the SDK's queues. The restores of a daemon share the
 * queues of traces and logs; each has metrics of its own, whose last export may come while the next restore runs.
 */
export function observeWithSdk(sdk: Sdk, { env, version, warn }: TelemetryOptions): Telemetry {
  const [hasTraces, hasLogs] = [sdk.spanProcessors.length > 0, sdk.logRecordProcessors.length > 0]
  const emit = emitTo(logs.getLogger(SCOPE, version))
  const delivery = makeDelivery([...sdk.spanProcessors, ...sdk.logRecordProcessors])
  const inherited = definedEnv(env)
  let watched: Watched | null = null
  const ending = new Set<Promise<void>>()
  let failed = false

  const endMetrics = ({ metrics }: Watched) => {
    const ended = metrics.end()
    ending.add(ended)
    void ended.then(() => ending.delete(ended))
  }

  const watch = ({ restoreId }: RestoreState): Watched => {
    if (watched?.restoreId === restoreId) return watched
    if (watched) endMetrics(watched)
    const metrics = meterRestore(sdk.startMetrics())
    watched = {
      restoreId,
      before: null,
      metrics,
      logRestore: makeRestoreLog(emit),
      logTools: makeToolLog(emit, metrics.own),
    }
    return watched
  }

  const handle = (state: RestoreState, event: RestoreEvent) => {
    const now = watch(state)
    const { before, metrics, logRestore, logTools } = now
    now.before = state
    metrics.observe(state, event)
    if (hasTraces) sdk.spans.send(state.unsentSpans)
    if (hasLogs) {
      logRestore(state, event)
      logTools(state, event)
    }
    const begins = state.endedSpans.some(({ kind }) => kind === 'restore')
    if (begins || before?.phase !== state.phase || before.attempt !== state.attempt) {
      delivery.flush()
      metrics.flush()
    }
    if (state.status !== 'running') endMetrics(now)
  }

  return {
    enabled: true,
    beginTrace() {
      const begun = beginTrace(env, sdk.ids)
      // Without a trace exporter the API repeats the caller's flags, and children would have parents that never come.
      return hasTraces ? begun : { ...begun, trace: { ...begun.trace, flags: 0 } }
    },
    childEnv: (spanId, state) => (hasTraces ? childEnv(inherited, spanId, state) : { ...inherited }),
    observe(state, event) {
      try {
        handle(state, event)
      } catch (thrown) {
        if (!failed) warn(`telemetry: ${thrown instanceof Error ? thrown.message : thrown} (said once)`)
        failed = true
      }
    },
    onSpansExported: sdk.spans.onExported,
    resend(spans) {
      if (hasTraces) sdk.spans.send(spans)
    },
    async shutdown() {
      if (watched) endMetrics(watched)
      await untilDelivered([delivery.end(), ...ending])
      sdk.dispose()
    },
  }
}
