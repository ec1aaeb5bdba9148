import { existsSync } from 'node:fs'

/**
 * Values of OTEL_* variables that the SDK would ignore without a word, such as `10s` for an interval in milliseconds.
 * Each gives one warning that names the variable and what is used instead; never the value, which may be a secret.
 */
const SIGNAL = '(TRACES_|METRICS_|LOGS_)?'
const milliseconds = (value: string) => /^\d+$/.test(value) && Number(value) > 0
const oneOf =
  (...words: string[]) =>
  (value: string) =>
    words.includes(value.toLowerCase())
const listOf =
  (...words: string[]) =>
  (value: string) =>
    value.split(',').every(word => words.includes(word.trim()))
const file = (path: string) => existsSync(path)

const RULES: readonly [variable: RegExp, isRight: (value: string) => boolean, warning: string][] = [
  [
    /^OTEL_(METRIC_EXPORT_(INTERVAL|TIMEOUT)|B(SP|LRP)_(SCHEDULE_DELAY|EXPORT_TIMEOUT))$/,
    milliseconds,
    'must be milliseconds, a whole number without a unit; the default is used',
  ],
  [
    RegExp(`^OTEL_EXPORTER_OTLP_${SIGNAL}TIMEOUT$`),
    milliseconds,
    'must be milliseconds, a whole number without a unit; the default is used',
  ],
  [
    /^OTEL_(B(SP|LRP)_MAX_(QUEUE|EXPORT_BATCH)_SIZE|(SPAN_|LOGRECORD_)?(ATTRIBUTE|EVENT|LINK)_(COUNT|VALUE_LENGTH)_LIMIT)$/,
    value => /^\d+$/.test(value),
    'must be a whole number; the default is used',
  ],
  [
    /^OTEL_EXPORTER_PROMETHEUS_PORT$/,
    value => /^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535,
    'must be a port from 1 to 65535; 9464 is used',
  ],
  [
    RegExp(`^OTEL_EXPORTER_OTLP_${SIGNAL}HEADERS$`),
    isKeyValueList,
    'must be a list such as key=value,key2=value2; a part of it is ignored',
  ],
  [/^OTEL_RESOURCE_ATTRIBUTES$/, isKeyValueList, 'must be a list such as key=value,key2=value2; it is ignored'],
  [
    RegExp(`^OTEL_EXPORTER_OTLP_${SIGNAL}COMPRESSION$`),
    oneOf('gzip', 'none'),
    'must be gzip or none; nothing is compressed',
  ],
  [
    RegExp(`^OTEL_EXPORTER_OTLP_${SIGNAL}(CERTIFICATE|CLIENT_CERTIFICATE|CLIENT_KEY)$`),
    file,
    'names a file that does not exist; it is ignored',
  ],
  [
    /^OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE$/,
    oneOf('cumulative', 'delta', 'lowmemory'),
    'must be cumulative, delta or lowmemory; cumulative is used',
  ],
  [
    /^OTEL_TRACES_SAMPLER$/,
    oneOf(
      ...['always_on', 'always_off', 'traceidratio'],
      ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
    ),
    'names no sampler; parentbased_always_on is used',
  ],
  [
    /^OTEL_TRACES_SAMPLER_ARG$/,
    value => /^(0|1|0?\.\d+|[01]\.\d+)$/.test(value) && Number(value) <= 1,
    'must be a number from 0 to 1; 1 is used',
  ],
  [
    /^OTEL_PROPAGATORS$/,
    listOf('tracecontext', 'baggage', 'b3', 'b3multi', 'jaeger', 'none'),
    'names an unknown propagator, which is ignored',
  ],
  [
    /^OTEL_LOG_LEVEL$/,
    oneOf('none', 'error', 'warn', 'info', 'debug', 'verbose', 'all'),
    'must be none, error, warn, info, debug, verbose or all; info is used',
  ],
  [/^OTEL_SDK_DISABLED$/, oneOf('true', 'false'), 'must be true or false; false is used'],
]

/** The warnings of `env`, in the order of its variables. */
export function checkVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(env).flatMap(([name, raw]) => {
    const value = raw?.trim()
    if (!name.startsWith('OTEL_') || !value) return []
    const rule = RULES.find(([variable]) => variable.test(name))
    return rule === undefined || rule[1](value) ? [] : [`${name} ${rule[2]}`]
  })
}

/** W3C baggage, as the specification has it for headers and resource attributes: values are percent-encoded. */
function isKeyValueList(text: string): boolean {
  return text.split(',').every(part => {
    const [, value] = /^\s*[!#$%&'*+.^_`|~\w-]+\s*=\s*([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?\s*$/.exec(part) ?? []
    if (value === undefined) return part.trim() === '' || /=\s*$/.test(part)
    try {
      decodeURIComponent(value)
      return true
    } catch {
      return false
    }
  })
}
