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
import { makeIds, type PinnedIds } from './pinned-ids.ts'
import { processResource } from './resource.ts'
import { openScrapeEndpoint } from './scrape-endpoint.ts'
import { type Settings, setting } from './settings.ts'
import type { TelemetryOptions } from './telemetry.ts'

/** The running SDK: its providers of traces and logs are the global ones of @opentelemetry/api. */
export interface Sdk extends Processors {
  ids: PinnedIds
  /**
   * Metrics of one restore. A provider of its own forgets it when it is done: in one for the process, the SDK sends the
   * series of every earlier restore again with each export, and drops new ones when their number passes its limit.
   */
  startMetrics(): RestoreMetrics
  /** Takes the providers out of @opentelemetry/api, so that another SDK can be started in this process. */
  dispose(): void
}

export interface RestoreMetrics {
  meter: Meter
  /** To be flushed, and shut down when the restore has ended: that collects once more. */
  pushed: readonly MetricReader[]
  /** How many readers collect, those that are scraped included. */
  readers: number
  /** Lets go of what is scraped, after a while. */
  ended(): void
}

export const SCOPE = 'restore-agent'

export function startSdk(settings: Settings, { env, version, warn }: TelemetryOptions): Sdk {
  sendDiagnosticsTo(warn, setting(env, 'OTEL_LOG_LEVEL'))
  const ids = makeIds()
  const { processors, resource } = withProcessEnv(env, () => {
    const made = { processors: makeProcessors(settings, env), resource: processResource(version) }
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
 * Runs `make` with the OTEL_* variables of `env` in process.env, where the SDK looks for them, and puts back what was
 * there: children must not inherit it. Without OTEL_LOG_LEVEL, which makes NodeSDK log to stdout.
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

/** The SDK's own messages. Without OTEL_LOG_LEVEL only the first error is told: a backend that is down is down for hours. */
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

/** The SDK flattens an exception into JSON, stack and all. */
function messageOf(arg: unknown): unknown {
  if (typeof arg !== 'string' || !arg.startsWith('{')) return arg
  try {
    return JSON.parse(arg).message ?? arg
  } catch {
    return arg
  }
}
