import { format } from 'node:util'
import { context, type DiagLogger, DiagLogLevel, diag, logs, metrics, propagation, trace } from '@opentelemetry/api'
import {
  envDetector,
  hostDetector,
  osDetector,
  type ResourceDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { scrubText } from '../secrets.ts'
import { makePipelines, type Pipelines } from './exporters.ts'
import { makeIds, type PinnedIds } from './pinned-ids.ts'
import { type Settings, setting } from './settings.ts'
import type { TelemetryOptions } from './telemetry.ts'

/** The running SDK: its providers are the global ones of @opentelemetry/api. */
export interface Sdk extends Pipelines {
  ids: PinnedIds
  /** Takes the providers out of @opentelemetry/api, so that another SDK can be started in this process. */
  dispose(): void
}

export function startSdk(settings: Settings, { env, version, warn }: TelemetryOptions): Sdk {
  sendDiagnosticsTo(warn, setting(env, 'OTEL_LOG_LEVEL'))
  const ids = makeIds()
  const pipelines = withProcessEnv(env, () => {
    const made = makePipelines(settings, env)
    new NodeSDK({
      ...made,
      idGenerator: ids,
      resource: resourceFromAttributes({ 'service.name': 'restore-agent', 'service.version': version }),
      resourceDetectors: [serviceInstanceIdDetector, hostDetector, osDetector, pidDetector, ownEnvDetector],
    }).start()
    return made
  })
  return {
    ...pipelines,
    ids,
    dispose() {
      for (const api of [trace, metrics, logs, propagation, context, diag]) api.disable()
    },
  }
}

/** NodeSDK's own process detector would send command line, owner and path. */
const pidDetector: ResourceDetector = { detect: () => ({ attributes: { 'process.pid': process.pid } }) }

const NEVER_SENT = /^process\.(command|owner|executable\.path)/

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; last, so that they win over our own. */
const ownEnvDetector: ResourceDetector = {
  detect() {
    const entries = Object.entries(envDetector.detect().attributes ?? {})
    const kept = entries.filter(([name]) => !NEVER_SENT.test(name))
    return {
      attributes: Object.fromEntries(kept.map(([name, v]) => [name, typeof v === 'string' ? scrubText(v) : v])),
    }
  },
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
