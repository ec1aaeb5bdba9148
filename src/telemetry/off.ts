import { randomBytes } from 'node:crypto'
import type { Observer, RestoreState, SpanLink, TraceIdentity, UnsentSpan } from '../restore/state/state.ts'
import { definedEnv } from './settings.ts'

export interface TelemetryOptions {
  env: NodeJS.ProcessEnv
  version: string
  /** One line for the agent's own log, without secrets. */
  warn: (text: string) => void
}

/** The telemetry of restores. Nothing here throws, rejects or makes a restore wait. */
export interface Telemetry extends Observer {
  enabled: boolean
  /**
   * The identity of a new restore's trace, and the caller's span where it is a link and not the parent. A later agent
   * keeps the first agent's trace: it takes `idPrefix` from here and links `link ?? {traceId, spanId: parentSpanId}`.
   */
  beginTrace(): { trace: TraceIdentity; link: SpanLink | null }
  /** The whole environment of a tool or hook whose parent is the span `spanId`. */
  childEnv(spanId: string, state: RestoreState): Record<string, string>
  /** Sets the listener for ids of spans whose export a backend acknowledged. Earlier ids are kept until then. */
  onSpansExported(listener: (ids: readonly string[]) => void): void
  /** Exports spans that an ended restore left in its state. */
  resend(spans: readonly UnsentSpan[]): void
  /** Sends what is left, for 3 s at most. Call it once, last. */
  shutdown(): Promise<void>
}

/** Telemetry without exporters. A restore has a trace id all the same: a later agent may have telemetry on. */
export const telemetryOff = (env: NodeJS.ProcessEnv): Telemetry => ({
  enabled: false,
  beginTrace: () => ({ trace: randomTrace(), link: null }),
  // The caller's context stays: this agent has no span between the caller and the child.
  childEnv: () => definedEnv(env),
  observe() {},
  onSpansExported() {},
  resend() {},
  async shutdown() {},
})

/** A new trace, not sampled. */
export const randomTrace = (): TraceIdentity => ({
  traceId: randomBytes(16).toString('hex'),
  flags: 0,
  traceState: null,
  parentSpanId: null,
  idPrefix: randomBytes(4).toString('hex'),
  nextId: 1,
})
