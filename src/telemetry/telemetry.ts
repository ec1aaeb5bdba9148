import type { Observer, RestoreState, SpanLink, TraceIdentity } from '../restore/state/state.ts'
import { randomTrace } from './random-trace.ts'
import { definedEnv, readSettings } from './settings.ts'

export interface TelemetryOptions {
  env: NodeJS.ProcessEnv
  version: string
  /** The agent's own log; one line, no secrets. */
  warn: (text: string) => void
}

/** What a restore tells the world. Nothing here throws, rejects or makes a restore wait. */
export interface Telemetry extends Observer {
  enabled: boolean
  /**
   * The identity of this restore's trace, and the caller's span where it is linked instead of being the parent. A later
   * agent keeps the first one's trace: it takes `idPrefix`, and links `link ?? {traceId, spanId: parentSpanId}`.
   */
  beginTrace(): { trace: TraceIdentity; link: SpanLink | null }
  /** The whole environment of a tool or hook whose parent is the span `spanId`. */
  childEnv(spanId: string, state: RestoreState): Record<string, string>
  /** Sends what is left, for 3 s at most. Call it once, last. */
  shutdown(): Promise<void>
}

/** Telemetry as the OTEL_* variables ask for it. Without them nothing is imported and no socket is opened. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  try {
    const settings = readSettings(options.env)
    for (const warning of settings.warnings) options.warn(`telemetry: ${warning}`)
    if (Object.keys(settings.signals).length === 0) return telemetryOff(options.env)
    const { startSdk } = await import('./sdk.ts')
    const { observeWithSdk } = await import('./observer.ts')
    return observeWithSdk(startSdk(settings, options), options)
  } catch (thrown) {
    options.warn(`telemetry: off, it could not be started: ${thrown instanceof Error ? thrown.message : thrown}`)
    return telemetryOff(options.env)
  }
}

/** A restore has ids with telemetry off too: they are in its state file, and a later agent may have it on. */
function telemetryOff(env: NodeJS.ProcessEnv): Telemetry {
  return {
    enabled: false,
    beginTrace: () => ({ trace: randomTrace(), link: null }),
    // No span of ours takes part in the caller's trace, so the caller's own context stays the right one.
    childEnv: () => definedEnv(env),
    observe() {},
    async shutdown() {},
  }
}
