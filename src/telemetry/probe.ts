import { scrubText } from '../secrets.ts'
import { type Protocol, readSettings, SIGNALS, type Signal } from './settings.ts'

/** What `check` reports of one signal. */
export interface SignalReport {
  signal: Signal
  /** Null where the signal is off. */
  otlp: { endpoint: string; protocol: Protocol; error: string | null; elapsedMs: number } | null
  /** Metrics are served at /metrics; there is nothing to reach. */
  prometheus: boolean
}

export interface EndpointReport {
  signals: readonly SignalReport[]
  warnings: readonly string[]
}

/** Leaves room for one retry after about a second. */
const TIMEOUT_MS = 2500

/** Sends an empty export of each signal that is on, as a restore sends its own. Takes at most 3 s; never rejects. */
export async function probeEndpoint(env: NodeJS.ProcessEnv): Promise<EndpointReport> {
  const settings = readSettings(env)
  const signals = await Promise.all(
    SIGNALS.map(async (signal): Promise<SignalReport> => {
      const found = settings.signals[signal]
      const prometheus = found?.exporters.includes('prometheus') ?? false
      if (!found?.exporters.includes('otlp')) return { signal, otlp: null, prometheus }
      const startedAtMs = Date.now()
      const error = await tryExport(env, signal, found.protocol)
      const otlp = { endpoint: scrubText(found.endpoint), protocol: found.protocol, error }
      return { signal, otlp: { ...otlp, elapsedMs: Date.now() - startedAtMs }, prometheus }
    }),
  )
  return { signals, warnings: settings.warnings }
}

async function tryExport(env: NodeJS.ProcessEnv, signal: Signal, protocol: Protocol): Promise<string | null> {
  try {
    const { sendEmptyExport } = await import('./empty-export.ts')
    return await sendEmptyExport(env, signal, protocol, TIMEOUT_MS)
  } catch (thrown) {
    return scrubText(thrown instanceof Error ? thrown.message : String(thrown))
  }
}
