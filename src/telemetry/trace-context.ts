import { type Context, createTraceState, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { RestoreState, SpanLink, TraceIdentity, UnsentSpan } from '../restore/state/state.ts'
import { randomTrace } from './off.ts'
import type { PinnedIds } from './pinned-ids.ts'

/**
 * Trace context in environment variables, with the propagators of OTEL_PROPAGATORS: TRACEPARENT becomes the parent, or
 * a link if it is not sampled, and each child process gets the span that it works for.
 */
const variableOf = (field: string): string => field.toUpperCase().replace(/[^A-Z0-9]/g, '_')

const CALLERS = ['TRACEPARENT', 'TRACESTATE', 'BAGGAGE', 'B3']

/** The sampler decides once, for the root; its decision holds for the whole restore and all its agents. */
export function beginTrace(env: NodeJS.ProcessEnv, ids: PinnedIds): { trace: TraceIdentity; link: SpanLink | null } {
  const extracted = propagation.extract(ROOT_CONTEXT, env, {
    get: (carrier, field) => carrier[variableOf(field)],
    keys: carrier => Object.keys(carrier),
  })
  const caller = trace.getSpanContext(extracted)
  const joins = caller !== undefined && (caller.traceFlags & 1) === 1
  const identity: TraceIdentity = {
    ...randomTrace(),
    ...(joins && {
      traceId: caller.traceId,
      parentSpanId: caller.spanId,
      traceState: caller.traceState?.serialize() || null,
    }),
  }
  const rootId = identity.idPrefix + identity.nextId.toString(16).padStart(8, '0')
  // Never ended, so never exported: it exists for the sampler's decision only.
  const probe = ids.with({ traceId: identity.traceId, spanId: rootId }, () =>
    trace.getTracer('restore-agent').startSpan('restore', {}, joins ? extracted : ROOT_CONTEXT),
  )
  const link = caller && !joins ? { traceId: caller.traceId, spanId: caller.spanId } : null
  return { trace: { ...identity, flags: probe.spanContext().traceFlags }, link }
}

/** The context whose current span is `spanId` of this restore's trace; the root context for null. */
export function contextOf(identity: UnsentSpan['trace'], spanId: string | null): Context {
  if (spanId === null) return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: identity.traceId,
    spanId,
    traceFlags: identity.flags,
    isRemote: spanId === identity.parentSpanId,
    ...(identity.traceState && { traceState: createTraceState(identity.traceState) }),
  })
}

/** `env` with the span `spanId` of this restore in place of the caller's context. */
export function childEnv(
  env: Readonly<Record<string, string>>,
  spanId: string,
  state: RestoreState,
): Record<string, string> {
  const child = { ...env }
  for (const name of [...CALLERS, ...propagation.fields().map(variableOf)]) delete child[name]
  propagation.inject(contextOf(state.trace, spanId), child, {
    set: (carrier, field, value) => {
      carrier[variableOf(field)] = value
    },
  })
  return child
}
