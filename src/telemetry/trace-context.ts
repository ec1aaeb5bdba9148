import { type Context, createTraceState, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { RestoreState, SpanLink, TraceIdentity } from '../restore/state/state.ts'
import type { PinnedIds } from './pinned-ids.ts'
import { randomTrace } from './random-trace.ts'

/**
 * The trace's way in and out through environment variables, with the propagator that OTEL_PROPAGATORS names: TRACEPARENT
 * becomes the parent, or a link where it is not sampled, and each child gets the span it works for.
 */
const variableOf = (field: string): string => field.toUpperCase().replace(/[^A-Z0-9]/g, '_')

const CALLERS = ['TRACEPARENT', 'TRACESTATE', 'BAGGAGE', 'B3']

/** Asks the configured sampler once, for the root; its answer holds for the whole restore and all its agents. */
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
  // Never ended, so never exported: the root itself is made when the restore ends.
  const probe = ids.with({ traceId: identity.traceId, spanId: rootId }, () =>
    trace.getTracer('restore-agent').startSpan('restore', {}, joins ? extracted : ROOT_CONTEXT),
  )
  const link = caller && !joins ? { traceId: caller.traceId, spanId: caller.spanId } : null
  return { trace: { ...identity, flags: probe.spanContext().traceFlags }, link }
}

/** The context whose current span is `spanId` of this restore's trace; the root context for null. */
export function contextOf(identity: TraceIdentity, spanId: string | null): Context {
  if (spanId === null) return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: identity.traceId,
    spanId,
    traceFlags: identity.flags,
    isRemote: spanId === identity.parentSpanId,
    ...(identity.traceState && { traceState: createTraceState(identity.traceState) }),
  })
}

/** `env` without the caller's context and with `spanId` of this restore in its place. */
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
