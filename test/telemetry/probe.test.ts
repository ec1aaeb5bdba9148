import { expect, test } from 'vitest'
import { probeEndpoint } from '../../src/telemetry/probe.ts'
import { refusingUrl } from './otlp-receiver.ts'
import { startWithReceiver } from './start.ts'

const HTTP_JSON = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }

test('off, answering, prometheus: told by signal', async () => {
  const { receiver } = await startWithReceiver({ OTEL_SDK_DISABLED: 'true' })
  const { signals, warnings } = await probeEndpoint({
    ...HTTP_JSON,
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=1',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_METRICS_EXPORTER: 'otlp,prometheus',
    OTEL_CONFIG_FILE: '/x',
  })
  const answering = (path: string) => ({ endpoint: `${receiver.url}${path}`, protocol: 'http/json', error: null })
  expect(signals).toMatchObject([
    { signal: 'traces', otlp: answering('/v1/traces'), prometheus: false },
    { signal: 'metrics', otlp: answering('/v1/metrics'), prometheus: true },
    { signal: 'logs', otlp: null, prometheus: false },
  ])
  expect(warnings).toHaveLength(1)
  expect(receiver.requests.map(({ path, headers }) => [path, headers['x-key']]).sort()).toEqual([
    ['/v1/metrics', '1'],
    ['/v1/traces', '1'],
  ])
  expect([receiver.spans(), receiver.exports().flat()]).toEqual([[], []])
})

const only = (url: string) => ({ ...HTTP_JSON, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces` })

test('an HTTP error, a refusal and silence are told within 3 s, the URL without its secrets', async () => {
  const { receiver } = await startWithReceiver({ OTEL_SDK_DISABLED: 'true' })
  const probe = async (env: NodeJS.ProcessEnv) => {
    const startedAtMs = performance.now()
    const { signals } = await probeEndpoint(env)
    expect(performance.now() - startedAtMs).toBeLessThan(3000)
    return signals[0]!.otlp!
  }
  receiver.misbehave('status_500')
  expect((await probe(only(receiver.url))).error).toBe('HTTP 500 Internal Server Error')
  receiver.misbehave('hang')
  expect((await probe(only(receiver.url))).error).toMatch(/timed out|no answer/)
  const refused = await probe(only((await refusingUrl()).replace('http://', 'http://bob:hunter2@')))
  expect(refused.error).toMatch(/ECONNREFUSED/)
  expect(refused.endpoint).toMatch(/^http:\/\/\*\*\*@127/)
  const grpc = { OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }
  expect((await probe({ ...grpc, OTEL_EXPORTER_OTLP_ENDPOINT: await refusingUrl() })).error).toBeTruthy()
})

test('nothing configured: all off', async () => {
  const { signals } = await probeEndpoint({})
  expect(signals.map(({ otlp }) => otlp)).toEqual([null, null, null])
})
