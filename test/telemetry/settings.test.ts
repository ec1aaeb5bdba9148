import { describe, expect, test } from 'vitest'
import { readSettings, SIGNALS } from '../../src/telemetry/settings.ts'

const on = (env: NodeJS.ProcessEnv) => SIGNALS.filter(signal => readSettings(env).signals[signal])
const ALL = [...SIGNALS]
const URL_ = 'http://collector:4318'

describe('a signal is on only when asked for', () => {
  test.each([
    [{}, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: URL_ }, ALL],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: URL_, OTEL_SDK_DISABLED: 'True' }, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: URL_, OTEL_LOGS_EXPORTER: 'none' }, ['traces', 'metrics']],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${URL_}/v1/traces` }, ['traces']],
    [{ OTEL_METRICS_EXPORTER: 'otlp' }, ['metrics']],
    [{ OTEL_METRICS_EXPORTER: 'prometheus' }, ['metrics']],
    [{ OTEL_TRACES_EXPORTER: 'none' }, []],
    [{ OTEL_CONFIG_FILE: '/etc/otel.yaml' }, []],
  ])('%j', (env, expected) => {
    expect(on(env)).toEqual(expected)
  })
})

test('protocol and endpoint: by signal, by the general variable, by default', () => {
  const { signals, warnings } = readSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${URL_}/base/`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'https://logs.example/in',
  })
  expect(signals.traces).toEqual({ exporters: ['otlp'], protocol: 'http/json', endpoint: `${URL_}/base/v1/traces` })
  expect(signals.metrics).toMatchObject({ protocol: 'grpc', endpoint: `${URL_}/base/` })
  expect(signals.logs).toMatchObject({ protocol: 'http/json', endpoint: 'https://logs.example/in' })
  expect(warnings).toEqual([])
  const bare = readSettings({ OTEL_TRACES_EXPORTER: 'otlp' })
  expect(bare.signals.traces).toMatchObject({ protocol: 'http/protobuf', endpoint: 'http://localhost:4318/v1/traces' })
})

describe('what is not done is said once', () => {
  test.each(['localhost:4318', 'nonsense', 'http://', 'ftp://x/y'])('malformed endpoint %s: off', endpoint => {
    const { signals, warnings } = readSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })
    expect(signals).toEqual({})
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('OTEL_EXPORTER_OTLP_ENDPOINT')
  })

  test('grpc takes host:port', () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }
    expect(on(env)).toEqual(ALL)
    expect(readSettings(env).warnings).toEqual([])
  })

  test('unknown protocol, unknown or console exporter, config file', () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: URL_,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'carrier-pigeon',
      OTEL_TRACES_EXPORTER: 'otlp,console',
      OTEL_LOGS_EXPORTER: 'console',
      OTEL_CONFIG_FILE: '/x',
    }
    expect(on(env)).toEqual(['traces', 'metrics'])
    expect(readSettings(env).signals.traces?.protocol).toBe('http/protobuf')
    expect(readSettings(env).warnings).toEqual([
      'OTEL_CONFIG_FILE is not supported: the file is ignored, and the other OTEL_* variables apply',
      'OTEL_TRACES_EXPORTER: console is not supported here',
      'OTEL_EXPORTER_OTLP_PROTOCOL names no protocol; http/protobuf is used',
      'OTEL_LOGS_EXPORTER: console is not supported here',
    ])
  })
})

describe('a value that the SDK ignores is told once, by name, and never shown', () => {
  const warningsOf = (env: NodeJS.ProcessEnv) => readSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: URL_, ...env }).warnings

  test.each([
    ['OTEL_EXPORTER_OTLP_HEADERS', 'hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization: Bearer hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=1,hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zzhunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=hunter2\nx=1'],
    ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', '=hunter2'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '10s'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '-5'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '0'],
    ['OTEL_METRIC_EXPORT_TIMEOUT', '1e3'],
    ['OTEL_BSP_SCHEDULE_DELAY', '1 s'],
    ['OTEL_BLRP_EXPORT_TIMEOUT', '30s'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', 'many'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s'],
    ['OTEL_EXPORTER_OTLP_LOGS_TIMEOUT', '1m'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
    ['OTEL_EXPORTER_OTLP_METRICS_COMPRESSION', 'deflate'],
    ['OTEL_EXPORTER_OTLP_CERTIFICATE', '/nowhere/ca.pem'],
    ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', 'deltoid'],
    ['OTEL_TRACES_SAMPLER', 'coin'],
    ['OTEL_TRACES_SAMPLER_ARG', '50%'],
    ['OTEL_PROPAGATORS', 'tracecontext,pigeon'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'env prod'],
    ['OTEL_LOG_LEVEL', 'loud'],
    ['OTEL_SDK_DISABLED', 'yes'],
    ['OTEL_EXPORTER_PROMETHEUS_PORT', '94640'],
  ])('%s=%j', (name, value) => {
    const warnings = warningsOf({ [name]: value })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(RegExp(`^${name} `))
    expect(warnings[0]).not.toContain('hunter2')
  })

  test('right values, also unusual ones, are not', () => {
    expect(
      warningsOf({
        OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20aHVudGVyMg==, x-scope = tenant 1 ,empty=',
        OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
        OTEL_METRIC_EXPORT_INTERVAL: ' 5000 ',
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0.25',
        OTEL_PROPAGATORS: 'tracecontext,baggage',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,team=db',
        OTEL_LOG_LEVEL: 'DEBUG',
        OTEL_SDK_DISABLED: 'false',
      }),
    ).toEqual([])
  })

  test('nothing is said where telemetry is off', () => {
    expect(readSettings({ OTEL_METRIC_EXPORT_INTERVAL: '10s' }).warnings).toEqual([])
  })
})
