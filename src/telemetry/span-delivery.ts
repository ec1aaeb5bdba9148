import type { SpanContext } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { UnsentSpan } from '../restore/state/state.ts'

/**
 * Sends each unsent span of the state until a backend acknowledges it. A span whose export failed is sent again later,
 * and so is one without an answer: a full queue of the SDK drops spans silently.
 */
export interface SpanDelivery {
  /** The unsent spans of the newest state. */
  send(unsent: readonly UnsentSpan[]): void
  /** Sets the listener for acknowledged spans; those acknowledged before arrive at once. */
  onExported(listener: (ids: readonly string[]) => void): void
  /** The exporter with a receipt for each span. */
  withReceipts(exporter: SpanExporter): SpanExporter
}

const contextOf = (span: ReadableSpan): SpanContext => span.spanContext()
const keyOf = (traceId: string, spanId: string) => `${traceId}/${spanId}`

/** A backend that answers within this time gets each span in a request of its own. */
const FAST_MS = 50
const AFTER_FAILURE_MS = 10_000
/** Longer than a queue's delay and an export's timeout together. */
const UNHEARD_MS = 90_000

export function makeSpanDelivery(exportSpan: (span: UnsentSpan) => void, now = () => performance.now()): SpanDelivery {
  /** When a span, by trace and span id, may be sent again; never after its acknowledgement. */
  const retryAtMs = new Map<string, number>()
  let listener: ((ids: readonly string[]) => void) | null = null
  let unreported: string[] = []
  let queue = Promise.resolve()

  const settle = (spans: readonly SpanContext[], { code }: ExportResult) => {
    if (spans.length === 0) return
    const acknowledged = code === ExportResultCode.SUCCESS
    const ids = spans.map(({ spanId }) => spanId)
    for (const { traceId, spanId } of spans)
      retryAtMs.set(keyOf(traceId, spanId), acknowledged ? Number.POSITIVE_INFINITY : now() + AFTER_FAILURE_MS)
    if (!acknowledged) return
    if (listener === null) unreported.push(...ids)
    else listener(ids)
  }

  const exportSome = async (exporter: SpanExporter, spans: ReadableSpan[]): Promise<ExportResult> => {
    const result = await new Promise<ExportResult>(resolve => exporter.export(spans, resolve))
    settle(spans.map(contextOf), result)
    return result
  }

  /** One by one while the backend answers at once, so that a kill sends at most one again; else the rest together. */
  const exportInTurn = async (exporter: SpanExporter, spans: readonly ReadableSpan[]): Promise<ExportResult> => {
    let result: ExportResult = { code: ExportResultCode.SUCCESS }
    let isFast = true
    let next = 0
    while (next < spans.length && result.code === ExportResultCode.SUCCESS) {
      const some = spans.slice(next, isFast ? next + 1 : undefined)
      const startedAtMs = performance.now()
      result = await exportSome(exporter, some)
      isFast = performance.now() - startedAtMs < FAST_MS
      next += some.length
    }
    settle(spans.slice(next).map(contextOf), result)
    return result
  }

  return {
    send(unsent) {
      for (const span of unsent) {
        const key = keyOf(span.trace.traceId, span.id)
        if (now() < (retryAtMs.get(key) ?? Number.NEGATIVE_INFINITY)) continue
        retryAtMs.set(key, now() + UNHEARD_MS)
        exportSpan(span)
      }
      if (retryAtMs.size <= 2 * unsent.length + 100) return
      const known = new Set(unsent.map(({ trace, id }) => keyOf(trace.traceId, id)))
      for (const key of retryAtMs.keys()) if (!known.has(key)) retryAtMs.delete(key)
    },
    onExported(next) {
      listener = next
      if (unreported.length > 0) next(unreported)
      unreported = []
    },
    withReceipts: exporter => ({
      export(spans, done) {
        queue = queue
          .then(() => exportInTurn(exporter, spans))
          .catch((error): ExportResult => ({ code: ExportResultCode.FAILED, error }))
          .then(done)
      },
      forceFlush: async () => exporter.forceFlush?.(),
      shutdown: () => exporter.shutdown(),
    }),
  }
}
