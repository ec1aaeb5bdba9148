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
      'OTEL_CONFIG_FILE is not supported: use the other OTEL_* variables',
      'OTEL_TRACES_EXPORTER: console is not supported here',
      'OTEL_EXPORTER_OTLP_PROTOCOL: no such protocol: carrier-pigeon; http/protobuf is used',
      'OTEL_LOGS_EXPORTER: console is not supported here',
    ])
  })
})
