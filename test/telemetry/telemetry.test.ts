import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startMockOtlpServer } from './mock-otlp-server.ts'
import { attributesOf } from './otlp-receiver.ts'
import { endedSpan, sampleState, startedState, T0 } from './sample-state.ts'
import { start, startWithReceiver } from './start.ts'

const STARTED = { type: 'restore_started', atMs: T0 } as const
const SIGNAL_PATHS = ['/v1/logs', '/v1/metrics', '/v1/traces']

describe('off', () => {
  test('nothing configured: ids, the caller’s environment, and no more', async () => {
    const { telemetry, warnings } = await start({ PATH: '/bin', TRACEPARENT: 'x', UNSET: undefined })
    expect(telemetry.enabled).toBe(false)
    const { trace, link } = telemetry.beginTrace()
    expect([trace.flags, trace.parentSpanId, link]).toEqual([0, null, null])
    expect(telemetry.beginTrace().trace.traceId).not.toBe(trace.traceId)
    expect(telemetry.childEnv('a'.repeat(16), sampleState())).toEqual({ PATH: '/bin', TRACEPARENT: 'x' })
    telemetry.observe(startedState(), STARTED)
    expect(warnings).toEqual([])
  })

  const child = async (env: Record<string, string>) => {
    const script = new URL('./fixtures/what-is-loaded.ts', import.meta.url).pathname
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script], { env })
    expect(stderr).toBe('')
    return JSON.parse(stdout) as { enabled: boolean; loaded: string[]; connects: number; warnings: string[] }
  }

  test.each([
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_SDK_DISABLED: 'true' },
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'no url' },
    { OTEL_TRACES_EXPORTER: 'none' },
    { OTEL_CONFIG_FILE: '/etc/otel.yaml' },
  ])('no SDK module is loaded and no connection is opened: %j', async env => {
    expect(await child(env)).toMatchObject({ enabled: false, loaded: [], connects: 0 })
  })

  test('the same child does load and connect when it is configured', async () => {
    const report = await child({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TIMEOUT: '200' })
    expect(report).toMatchObject({ enabled: true })
    expect(report.loaded).toContain('@opentelemetry/sdk-node')
    expect(report.connects).toBeGreaterThan(0)
  })
})

describe('never in the way', () => {
  test('a state it cannot read is said once and thrown never', async () => {
    const { telemetry, warnings } = await startWithReceiver()
    for (let n = 0; n < 3; n++) telemetry.observe(null as never, STARTED)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^telemetry: .*said once/)
  })

  test('an SDK that cannot be started is off, with a warning', async () => {
    const env = {
      get OTEL_SDK_DISABLED(): string {
        throw new Error('no such luck')
      },
    }
    const { telemetry, warnings } = await start(env)
    expect(telemetry.enabled).toBe(false)
    expect(warnings).toEqual(['telemetry: off, because it did not start: no such luck'])
  })
})

describe('configuration', () => {
  test.each([
    ['traces', '/v1/traces'],
    ['metrics', '/v1/metrics'],
    ['logs', '/v1/logs'],
  ])('only %s configured: no other traffic', async (signal, path) => {
    const receiver = (await startWithReceiver({ OTEL_SDK_DISABLED: 'true' })).receiver
    const { telemetry } = await start({
      [`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`]: receiver.url + path,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    })
    telemetry.observe(startedState(), STARTED)
    await telemetry.shutdown()
    expect(new Set(receiver.requests.map(request => request.path))).toEqual(new Set([path]))
  })

  test('the resource: what the contract lists and nothing else, OTEL_SERVICE_NAME wins, no secret', async () => {
    const { telemetry, receiver } = await startWithReceiver()
    telemetry.observe(startedState(), STARTED)
    await telemetry.shutdown()
    const resources = [...receiver.resourceSpans, ...receiver.resourceMetrics, ...receiver.resourceLogs]
    for (const { resource } of resources) {
      const attributes = attributesOf(resource)
      expect(Object.keys(attributes).sort()).toEqual([
        ...['host.arch', 'host.id', 'host.name', 'os.type', 'os.version', 'process.pid'],
        ...['service.instance.id', 'service.name', 'service.version'],
      ])
      expect(attributes).toMatchObject({
        'service.name': 'restore-agent',
        'service.version': '1.2.3',
        'process.pid': process.pid,
      })
    }

    const named = await startWithReceiver({
      OTEL_SERVICE_NAME: 'nightly',
      OTEL_NODE_RESOURCE_DETECTORS: 'all',
      OTEL_RESOURCE_ATTRIBUTES: 'team=dba,process.owner=root,process.command_args=x,src=https://u:hunter2@h/x',
    })
    named.telemetry.observe(startedState(), STARTED)
    await named.telemetry.shutdown()
    const attributes = attributesOf(named.receiver.resourceSpans[0]!.resource)
    expect(attributes).toMatchObject({ 'service.name': 'nightly', team: 'dba', src: 'https://***@h/x' })
    expect(Object.keys(attributes).filter(name => name.startsWith('process.'))).toEqual(['process.pid'])
    expect(attributes['service.instance.id']).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('headers and gzip are honoured, and process.env is left as it was', async () => {
    process.env.OTEL_EXPORTER_OTLP_HEADERS = 'x-from=process'
    onTestFinished(() => {
      delete process.env.OTEL_EXPORTER_OTLP_HEADERS
    })
    const before = { ...process.env }
    const { telemetry, receiver } = await startWithReceiver({
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer abc',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    })
    expect(process.env).toEqual(before)
    telemetry.observe(startedState(), STARTED)
    await telemetry.shutdown()
    expect(receiver.requests.map(({ path }) => path).filter(path => !SIGNAL_PATHS.includes(path))).toEqual([])
    for (const { headers } of receiver.requests)
      expect(headers).toMatchObject({ authorization: 'Bearer abc', 'content-encoding': 'gzip' })
    expect(receiver.spans()).toHaveLength(1)
  })

  test('a span leaves 1 s after its end without a flush, and OTEL_BSP_SCHEDULE_DELAY is honoured', async () => {
    const age = async (env: NodeJS.ProcessEnv) => {
      const { telemetry, receiver } = await startWithReceiver(env)
      telemetry.observe(sampleState(), { type: 'tick', atMs: T0 })
      const startedAtMs = performance.now()
      telemetry.observe(sampleState({ endedSpans: [endedSpan(7, 'progress', 5)] }), { type: 'tick', atMs: T0 })
      await receiver.until(() => receiver.spans().length === 1)
      await telemetry.shutdown()
      return performance.now() - startedAtMs
    }
    const ours = await age({})
    expect(ours).toBeGreaterThan(800)
    expect(await age({ OTEL_BSP_SCHEDULE_DELAY: '100' })).toBeLessThan(ours)
  })

  test('OTEL_LOG_LEVEL goes to the agent’s own log', async () => {
    const { telemetry, warnings } = await startWithReceiver({ OTEL_LOG_LEVEL: 'debug' })
    telemetry.observe(startedState(), STARTED)
    await telemetry.shutdown()
    expect(warnings.some(text => text.startsWith('telemetry: '))).toBe(true)
    expect(warnings.every(text => text.length < 1100)).toBe(true)
  })
})

test.each(['http/protobuf', 'grpc', 'http/json'] as const)(
  '%s: all three signals reach another implementation',
  async protocol => {
    const server = await startMockOtlpServer()
    onTestFinished(() => server.close())
    const { telemetry, warnings } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: protocol === 'grpc' ? server.grpcUrl : server.httpUrl,
      ...(protocol !== 'http/protobuf' && { OTEL_EXPORTER_OTLP_PROTOCOL: protocol }),
    })
    telemetry.observe(startedState(), STARTED)
    await telemetry.shutdown()
    expect(warnings).toEqual([])
    expect(JSON.stringify(server.traces)).toContain('spanId')
    expect(JSON.stringify(server.metrics)).toContain('restore.heartbeat.time')
    // Its protobuf schema is older than event names.
    expect(JSON.stringify(server.logs)).toContain('restore restore-1 started')
  },
)
