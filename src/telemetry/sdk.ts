import { format } from 'node:util'
import {
  context,
  type DiagLogger,
  DiagLogLevel,
  diag,
  logs,
  type Meter,
  metrics,
  propagation,
  trace,
} from '@opentelemetry/api'
import { MeterProvider, type MetricReader, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { scrubText } from '../secrets.ts'
import { makeMetricReaders, makeProcessors, type Processors } from './exporters.ts'
import type { TelemetryOptions } from './off.ts'
import { makeIds, type PinnedIds } from './pinned-ids.ts'
import { processResource } from './resource.ts'
import { openScrapeEndpoint } from './scrape-endpoint.ts'
import { type Settings, setting } from './settings.ts'
import { makeSpanDelivery, type SpanDelivery } from './span-delivery.ts'
import { exportSpan } from './spans.ts'

/** The running SDK: its providers of traces and logs are the global ones of @opentelemetry/api. */
export interface Sdk extends Processors {
  spans: SpanDelivery
  ids: PinnedIds
  /**
   * Metrics of one restore, in a provider of its own: a shared provider sends the series of every earlier restore again
   * with each export, and drops new series over its limit.
   */
  startMetrics(): RestoreMetrics
  /** Removes the providers from @opentelemetry/api, so that another SDK can start in this process. */
  dispose(): void
}

export interface RestoreMetrics {
  meter: Meter
  /** Flush them while the restore runs; at its end shut them down, which collects once more. */
  pushed: readonly MetricReader[]
  /** How many readers collect, with the scraped one. */
  readers: number
  /** The restore has ended: /metrics shows it for five more minutes. */
  ended(): void
}

export const SCOPE = 'restore-agent'

export function startSdk(settings: Settings, { env, version, warn }: TelemetryOptions): Sdk {
  sendDiagnosticsTo(warn, setting(env, 'OTEL_LOG_LEVEL'))
  const ids = makeIds()
  const spans = makeSpanDelivery(span => exportSpan(trace.getTracer(SCOPE, version), ids, span))
  const { processors, resource } = withProcessEnv(env, () => {
    const made = { processors: makeProcessors(settings, env, spans.withReceipts), resource: processResource(version) }
    new NodeSDK({
      ...made.processors,
      metricReaders: [],
      idGenerator: ids,
      resource: made.resource,
      autoDetectResources: false,
    }).start()
    return made
  })
  const endpoint = settings.signals.metrics?.exporters.includes('prometheus')
    ? openScrapeEndpoint(env, resource.waitForAsyncAttributes?.())
    : null
  return {
    ...processors,
    ids,
    spans,
    startMetrics() {
      const readers = withProcessEnv(env, () => makeMetricReaders(settings, env, () => endpoint!.makeReader()))
      const meter = new MeterProvider({ resource, readers }).getMeter(SCOPE, version)
      const pushed = readers.filter(reader => reader instanceof PeriodicExportingMetricReader)
      return { meter, pushed, readers: readers.length, ended: () => endpoint?.ended() }
    },
    dispose() {
      endpoint?.close()
      for (const api of [trace, metrics, logs, propagation, context, diag]) api.disable()
    },
  }
}

/**
 * Runs `make` with the OTEL_* variables of `env` in process.env, where the SDK reads them, then restores process.env,
 * because children inherit it. OTEL_LOG_LEVEL is left out: with it NodeSDK logs to stdout.
 */
export function withProcessEnv<T>(env: NodeJS.ProcessEnv, make: () => T): T {
  const isOurs = (name: string) => name.startsWith('OTEL_')
  const before = Object.entries(process.env).filter(([name]) => isOurs(name))
  const wanted = Object.entries(env).filter(([name]) => isOurs(name) && name !== 'OTEL_LOG_LEVEL')
  const replaceWith = (entries: readonly [string, string | undefined][]) => {
    for (const name of Object.keys(process.env).filter(isOurs)) delete process.env[name]
    for (const [name, value] of entries) if (value !== undefined) process.env[name] = value
  }
  replaceWith(wanted)
  try {
    return make()
  } finally {
    replaceWith(before)
  }
}

const LONGEST_DIAGNOSTIC = 1000

/** The SDK's messages. Without OTEL_LOG_LEVEL only the first error is logged: a backend may be down for hours. */
function sendDiagnosticsTo(warn: (text: string) => void, level: string | undefined): void {
  let said = false
  const say = (...args: unknown[]) => {
    if (level === undefined && said) return
    said = true
    warn(`telemetry: ${scrubText(format(...args.map(messageOf))).slice(0, LONGEST_DIAGNOSTIC)}`)
  }
  const logger: DiagLogger = { error: say, warn: say, info: say, debug: say, verbose: say }
  const known = DiagLogLevel[(level ?? 'error').toUpperCase() as keyof typeof DiagLogLevel]
  diag.setLogger(logger, { logLevel: known ?? DiagLogLevel.INFO, suppressOverrideMessage: true })
}

/** The SDK turns an exception into JSON with its stack. */
function messageOf(arg: unknown): unknown {
  if (typeof arg !== 'string' || !arg.startsWith('{')) return arg
  try {
    return JSON.parse(arg).message ?? arg
  } catch {
    return arg
  }
}
