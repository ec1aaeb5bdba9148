import { describe, expect, test } from 'vitest'
import { endedSpan, sampleState, spanId, T0 } from './sample-state.ts'
import { startWithReceiver } from './start.ts'

const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const traceparent = (flags: string) => `00-${CALLER.traceId}-${CALLER.spanId}-${flags}`

describe('beginTrace', () => {
  test('without a caller: a sampled trace of our own, another one each time', async () => {
    const { telemetry } = await startWithReceiver()
    const [{ trace, link }, other] = [telemetry.beginTrace(), telemetry.beginTrace()]
    expect(trace).toMatchObject({ flags: 1, traceState: null, parentSpanId: null, nextId: 1 })
    expect(trace.traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(trace.idPrefix).toMatch(/^[0-9a-f]{8}$/)
    expect(link).toBeNull()
    expect(other.trace.traceId).not.toBe(trace.traceId)
  })

  test('a sampled TRACEPARENT is the parent, TRACESTATE included, and the exported root hangs under it', async () => {
    const env = { TRACEPARENT: traceparent('01'), TRACESTATE: 'a=1,b=2' }
    const { telemetry, receiver } = await startWithReceiver(env)
    const { trace, link } = telemetry.beginTrace()
    expect(trace).toMatchObject({
      traceId: CALLER.traceId,
      parentSpanId: CALLER.spanId,
      flags: 1,
      traceState: 'a=1,b=2',
    })
    expect(link).toBeNull()
    const root = endedSpan(1, 'restore', null, { parentId: trace.parentSpanId })
    telemetry.observe(sampleState({ trace, endedSpans: [root] }), { type: 'tick', atMs: T0 })
    await telemetry.shutdown()
    // The probe that asked the sampler is not among them.
    expect(receiver.spans()).toMatchObject([
      { name: 'restore', traceId: CALLER.traceId, parentSpanId: CALLER.spanId, traceState: 'a=1,b=2' },
    ])
  })

  test('an unsampled TRACEPARENT becomes a link and the restore is sampled on its own', async () => {
    const { telemetry } = await startWithReceiver({ TRACEPARENT: traceparent('00') })
    const { trace, link } = telemetry.beginTrace()
    expect(link).toEqual(CALLER)
    expect(trace).toMatchObject({ flags: 1, parentSpanId: null })
    expect(trace.traceId).not.toBe(CALLER.traceId)
  })

  test.each(['garbage', '', `00-${'0'.repeat(32)}-${CALLER.spanId}-01`, `ff-${CALLER.traceId}-${CALLER.spanId}-01`])(
    'TRACEPARENT=%j is as good as none',
    async TRACEPARENT => {
      const { telemetry } = await startWithReceiver({ TRACEPARENT })
      const { trace, link } = telemetry.beginTrace()
      expect([trace.parentSpanId, trace.flags, link]).toEqual([null, 1, null])
    },
  )

  test.each([
    [{ OTEL_TRACES_SAMPLER: 'always_off' }, 0],
    [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }, 0],
    [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '1' }, 1],
    [{ OTEL_TRACES_EXPORTER: 'none', TRACEPARENT: traceparent('01') }, 0],
  ])('the sampler decides for the whole trace: %j', async (env, flags) => {
    const { telemetry } = await startWithReceiver(env)
    expect(telemetry.beginTrace().trace.flags).toBe(flags)
  })
})

describe('childEnv', () => {
  const state = sampleState()
  const inherited = { PATH: '/bin', TRACEPARENT: traceparent('01'), TRACESTATE: 'a=1', BAGGAGE: 'k=v', B3: '0' }

  test('a child gets our span in place of what was inherited', async () => {
    const { telemetry, receiver } = await startWithReceiver(inherited)
    expect(telemetry.childEnv(spanId(6), state)).toEqual({
      PATH: '/bin',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      TRACEPARENT: `00-${state.trace.traceId}-${spanId(6)}-01`,
    })
    const trace = { ...state.trace, flags: 0, traceState: 'a=1' }
    expect(telemetry.childEnv(spanId(6), { ...state, trace })).toMatchObject({
      TRACEPARENT: `00-${state.trace.traceId}-${spanId(6)}-00`,
      TRACESTATE: 'a=1',
    })
  })

  test('without a trace exporter the caller’s context passes through, also if the agent forgets it', async () => {
    const env: NodeJS.ProcessEnv = { ...inherited, OTEL_TRACES_EXPORTER: 'none' }
    const { telemetry } = await startWithReceiver(env)
    delete env.TRACEPARENT
    expect(telemetry.childEnv(spanId(6), state)).toMatchObject(inherited)
  })

  test('OTEL_PROPAGATORS=b3 reads and writes B3, =none writes nothing and leaks nothing', async () => {
    const b3 = await startWithReceiver({ OTEL_PROPAGATORS: 'b3', B3: `${CALLER.traceId}-${CALLER.spanId}-1` })
    expect(b3.telemetry.beginTrace().trace.parentSpanId).toBe(CALLER.spanId)
    const env = b3.telemetry.childEnv(spanId(6), state)
    expect([env.B3, env.TRACEPARENT]).toEqual([`${state.trace.traceId}-${spanId(6)}-1`, undefined])
    await b3.telemetry.shutdown()
    const none = await startWithReceiver({ ...inherited, OTEL_PROPAGATORS: 'none' })
    expect(Object.keys(none.telemetry.childEnv(spanId(6), state)).filter(name => !name.startsWith('OTEL_'))).toEqual([
      'PATH',
    ])
    expect(none.telemetry.beginTrace().trace.parentSpanId).toBeNull()
  })
})
