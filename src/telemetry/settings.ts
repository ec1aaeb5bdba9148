import { checkVariables } from './check-variables.ts'

/**
 * The settings of the OTEL_* variables, read before any SDK is imported.
 *
 * A signal is on if its OTEL_<SIGNAL>_EXPORTER names an exporter, or, where that is unset, if an OTLP endpoint is set
 * for it. NodeSDK alone pushes every other signal to localhost, and so it does with a malformed endpoint: here both are
 * off.
 */
export const SIGNALS = ['traces', 'metrics', 'logs'] as const
export type Signal = (typeof SIGNALS)[number]

export const PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const
export type Protocol = (typeof PROTOCOLS)[number]

export type ExporterName = 'otlp' | 'prometheus'

export interface SignalSettings {
  exporters: readonly ExporterName[]
  protocol: Protocol
  /** The URL of OTLP. It may hold userinfo: scrub it before it is shown. */
  endpoint: string
}

export interface Settings {
  signals: Readonly<Partial<Record<Signal, SignalSettings>>>
  /** Warnings about settings that are not supported; each is given once. */
  warnings: readonly string[]
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const warnings = new Set<string>()
  const signals: Partial<Record<Signal, SignalSettings>> = {}
  if (setting(env, 'OTEL_CONFIG_FILE'))
    warnings.add('OTEL_CONFIG_FILE is not supported: the file is ignored, and the other OTEL_* variables apply')
  if (setting(env, 'OTEL_SDK_DISABLED')?.toLowerCase() !== 'true')
    for (const signal of SIGNALS) {
      const settings = readSignal(env, signal, text => warnings.add(text))
      if (settings) signals[signal] = settings
    }
  if (Object.keys(signals).length > 0) for (const warning of checkVariables(env)) warnings.add(warning)
  return { signals, warnings: [...warnings] }
}

function readSignal(env: NodeJS.ProcessEnv, signal: Signal, warn: (text: string) => void): SignalSettings | null {
  const name = signal.toUpperCase()
  const ownEndpoint = `OTEL_EXPORTER_OTLP_${name}_ENDPOINT`
  const endpointVariable = [ownEndpoint, 'OTEL_EXPORTER_OTLP_ENDPOINT'].find(variable => setting(env, variable))
  const asked = setting(env, `OTEL_${name}_EXPORTER`) ?? (endpointVariable ? 'otlp' : 'none')
  const exporters = readExporters(signal, asked, warn)
  if (exporters.length === 0) return null

  const protocol = readProtocol(env, name, warn)
  if (!endpointVariable || !exporters.includes('otlp'))
    return { exporters, protocol, endpoint: defaultEndpoint(signal, protocol) }

  const given = setting(env, endpointVariable)!
  if (!isEndpoint(given, protocol)) {
    warn(`${endpointVariable} is not a URL that ${protocol} can use: telemetry that would go there is off`)
    return null
  }
  const isWhole = protocol === 'grpc' || endpointVariable === ownEndpoint
  return { exporters, protocol, endpoint: isWhole ? given : `${given.replace(/\/$/, '')}/v1/${signal}` }
}

/** A console exporter would write into the agent's own output, so it is refused like an unknown one. */
function readExporters(signal: Signal, asked: string, warn: (text: string) => void): ExporterName[] {
  const names = asked.split(',').map(name => name.trim())
  if (names.includes('none')) return []
  const known = names.filter(
    (name): name is ExporterName => name === 'otlp' || (name === 'prometheus' && signal === 'metrics'),
  )
  const unknown = names.filter(name => name !== '' && !known.includes(name as ExporterName))
  if (unknown.length > 0) warn(`OTEL_${signal.toUpperCase()}_EXPORTER: ${unknown.join(', ')} is not supported here`)
  return [...new Set(known)]
}

function readProtocol(env: NodeJS.ProcessEnv, name: string, warn: (text: string) => void): Protocol {
  const variables = [`OTEL_EXPORTER_OTLP_${name}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL']
  const variable = variables.find(candidate => setting(env, candidate))
  if (!variable) return 'http/protobuf'
  const asked = setting(env, variable)!
  const known = PROTOCOLS.find(protocol => protocol === asked)
  if (!known) warn(`${variable} names no protocol; http/protobuf is used`)
  return known ?? 'http/protobuf'
}

function isEndpoint(text: string, protocol: Protocol): boolean {
  const hasScheme = /^\w+:\/\//.test(text)
  if (protocol === 'grpc') return URL.canParse(hasScheme ? text : `https://${text}`)
  return hasScheme && URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

const defaultEndpoint = (signal: Signal, protocol: Protocol): string =>
  protocol === 'grpc' ? 'http://localhost:4317' : `http://localhost:4318/v1/${signal}`

/** A variable's value; undefined if it is unset or blank, as the specification says. */
export const setting = (env: NodeJS.ProcessEnv, name: string): string | undefined => env[name]?.trim() || undefined

/** A variable's value as a number above 0; `fallback` if it is unset or anything else. */
export function positiveNumber(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const value = Number(setting(env, name))
  return Number.isFinite(value) && value > 0 ? value : fallback
}

/** An environment as a child process takes it. */
export const definedEnv = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
