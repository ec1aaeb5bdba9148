import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Misbehaviour, refusingUrl, startOtlpReceiver } from './otlp-receiver.ts'
import { endedSpan, openSpan, sampleState, startedState, T0 } from './sample-state.ts'
import { start, startWithReceiver } from './start.ts'

const rejections: unknown[] = []
const remember = (reason: unknown) => rejections.push(reason)
beforeAll(() => {
  process.on('unhandledRejection', remember)
})
afterAll(async () => {
  // Retries of the SDK go on for a while after the bound.
  await new Promise(resolve => setTimeout(resolve, 2000))
  process.off('unhandledRejection', remember)
  expect(rejections).toEqual([])
}, 10_000)

const HOW: (Misbehaviour | 'nobody listens' | 'unknown host')[] = [
  ...(['refuse', 'hang', 'status_500', 'status_503', 'garbage_body', 'garbage_http', 'slow'] as const),
  ...(['nobody listens', 'unknown host'] as const),
]

async function endpoint(how: (typeof HOW)[number]): Promise<string> {
  if (how === 'nobody listens') return refusingUrl()
  if (how === 'unknown host') return 'http://no-such-host.invalid:4318'
  const receiver = await startOtlpReceiver()
  onTestFinished(() => receiver.close())
  receiver.misbehave(how)
  return receiver.url
}

test.each(HOW)('%s: observing stays instant, shutdown ends within 3.2 s, nothing is written', async how => {
  const { telemetry, warnings } = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await endpoint(how),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  })
  const written: unknown[] = []
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write
    stream.write = ((chunk: unknown) => written.push(chunk) > 0) as typeof write
    onTestFinished(() => {
      stream.write = write
    })
  }
  const startedAtMs = performance.now()
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  for (let n = 0; n < 200; n++) {
    const phase = n % 2 ? 'preparing_backup' : 'restoring_basebackup'
    const endedSpans = [endedSpan(100 + n, 'phase', 3, { name: phase })]
    telemetry.observe(sampleState({ phase, attempt: n, endedSpans, spans: [openSpan(2, 'outcome', 1)] }), {
      type: 'phase_started',
      atMs: T0 + n,
      phase,
      position: 1,
    })
  }
  expect(performance.now() - startedAtMs).toBeLessThan(2000)
  await new Promise(resolve => setTimeout(resolve, 50))
  const endingAtMs = performance.now()
  await telemetry.shutdown()
  expect(performance.now() - endingAtMs).toBeLessThan(3200)
  expect(written).toEqual([])
  expect(warnings.length).toBeLessThanOrEqual(1)
})

test('one signal that fails at once does not cut another one short', async () => {
  const broken = await startOtlpReceiver()
  onTestFinished(() => broken.close())
  broken.misbehave('status_500')
  const { telemetry, receiver } = await startWithReceiver({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${broken.url}/v1/traces`,
  })
  receiver.misbehave('slow')
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  await telemetry.shutdown()
  expect(broken.requests.length).toBeGreaterThan(0)
  expect(receiver.exports().length).toBeGreaterThan(0)
  expect(receiver.logs().map(({ eventName }) => eventName)).toEqual(['restore.started'])
})

test('what is told while a flush is under way still arrives', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  receiver.misbehave('slow')
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  await new Promise(resolve => setTimeout(resolve, 200))
  const endedSpans = [endedSpan(2, 'outcome', 1)]
  telemetry.observe(sampleState({ status: 'succeeded', phase: 'completed', spans: [], endedSpans }), {
    type: 'ended',
    atMs: T0,
    status: 'succeeded',
    phase: 'completed',
    error: null,
  })
  await telemetry.shutdown()
  expect(receiver.logs().map(({ eventName }) => eventName)).toEqual(['restore.started', 'restore.completed'])
  expect(receiver.spans().map(({ name }) => name)).toEqual(['restore', 'outcome'])
})
