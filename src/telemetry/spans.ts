import { SpanStatusCode, type Tracer } from '@opentelemetry/api'
import type { AttributeValue, UnsentSpan } from '../restore/state/state.ts'
import { scrubText } from '../secrets.ts'
import type { PinnedIds } from './pinned-ids.ts'
import { contextOf } from './trace-context.ts'

/** Makes and ends an SDK span from the state's record of it; none in a trace that is not sampled. */
export function exportSpan(tracer: Tracer, ids: PinnedIds, { trace: identity, ...ended }: UnsentSpan): void {
  if ((identity.flags & 1) === 0) return
  const span = ids.with({ traceId: identity.traceId, spanId: ended.id }, () =>
    tracer.startSpan(
      ended.name,
      {
        // Dates, because the SDK takes a small number as a time of performance.now().
        startTime: new Date(ended.startedAtMs),
        attributes: scrubAttributes(ended.attributes),
        links: ended.links.map(({ traceId, spanId }) => ({ context: { traceId, spanId, traceFlags: identity.flags } })),
      },
      contextOf(identity, ended.parentId),
    ),
  )
  if (ended.error) {
    // A failed request names its own, which is no code of a restore.
    span.setAttribute('error.type', ended.attributes['error.type'] ?? ended.error.code)
    span.setStatus({ code: SpanStatusCode.ERROR, message: scrubText(ended.error.message) })
  }
  span.end(new Date(ended.endedAtMs))
}

export const scrubAttributes = (attributes: Readonly<Record<string, AttributeValue>>): Record<string, AttributeValue> =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, typeof value === 'string' ? scrubText(value) : value]),
  )
