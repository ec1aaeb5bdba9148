import { describe, expect, onTestFinished, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import type { RestoreState } from '../../src/restore/state/state.ts'
import type { Telemetry } from '../../src/telemetry/off.ts'
import { attributesOf, numberOf, type OtlpReceiver, pointsOf, refusingUrl } from './otlp-receiver.ts'
import { endedSpan, samplePlan, sampleState, startedState, T0 } from './sample-state.ts'
import { start, startWithReceiver } from './start.ts'

/** Restores that follow each other in one process, as under `serve`. */
const begin = (telemetry: Telemetry, restoreId: string, changes: Partial<RestoreState> = {}) =>
  telemetry.observe(startedState({ restoreId, ...changes }), { type: 'restore_started', atMs: T0 })

function fail(telemetry: Telemetry, restoreId: string, code: ErrorCode) {
  const error = { code, message: 'no' }
  const endedSpans = [
    endedSpan(4, 'phase', 3, { name: 'getting_backup_info', error }),
    endedSpan(3, 'attempt', 1, { error }),
    endedSpan(2, 'outcome', 1, { error }),
  ]
  const ended = sampleState({ restoreId, status: 'failed', phase: 'failed', spans: [], endedSpans })
  telemetry.observe(ended, { type: 'ended', atMs: T0, status: 'failed', phase: 'failed', error: null })
}

const flood = (telemetry: Telemetry, restoreId: string, lines: number) =>
  telemetry.observe(
    sampleState({ restoreId, counters: { ...sampleState().counters, lines: { getting_backup_info: lines } } }),
    {
      type: 'tool_lines',
      atMs: T0,
      position: 1,
      id: 't',
      tool: 'mbstream',
      readOffset: 0,
      events: [],
      lines: Array.from({ length: lines }, (_, n) => `line ${n}`),
      count: lines,
      dropped: 0,
    },
  )

interface Sample {
  metric: string
  id: unknown
  attributes: Record<string, unknown>
  value: number
  export: number
}

/** Everything that arrived, in order. */
const samples = (receiver: OtlpReceiver): Sample[] =>
  receiver.exports().flatMap((metrics, index) =>
    metrics.flatMap(metric =>
      pointsOf(metric).map(point => {
        const { 'restore.id': id, ...attributes } = attributesOf(point)
        return { metric: metric.name, id, attributes, value: numberOf(point), export: index }
      }),
    ),
  )

const last = (receiver: OtlpReceiver, metric: string, id: string) => {
  const mine = samples(receiver).filter(sample => sample.metric === metric && sample.id === id)
  return mine.filter(sample => sample.export === mine.at(-1)?.export)
}

const hasEnded = (receiver: OtlpReceiver, id: string) => () =>
  last(receiver, 'restore.status', id).some(
    ({ attributes, value }) => value === 1 && attributes['restore.state'] !== 'running',
  )

/** Its last export is on its way when its end is seen: the start's flush may have told it already. */
const lastExportTaken = () => new Promise(resolve => setTimeout(resolve, 300))

describe('two restores of one daemon', () => {
  test('the first one’s last state arrives though the second has begun, and nothing of the first after it', async () => {
    const { telemetry, receiver } = await startWithReceiver({ OTEL_METRIC_EXPORT_INTERVAL: '100' })
    begin(telemetry, 'one')
    fail(telemetry, 'one', 'source_missing')
    begin(telemetry, 'two')
    await receiver.until(hasEnded(receiver, 'one'))
    await lastExportTaken()
    const before = receiver.exports().length
    const seen = () => samples(receiver).filter(({ metric, id }) => metric === 'restore.heartbeat.time' && id === 'two')
    const already = seen().length
    await receiver.until(() => seen().length >= already + 4)
    expect(samples(receiver).filter(sample => sample.id === 'one' && sample.export >= before)).toEqual([])
    await telemetry.shutdown()
    expect(last(receiver, 'restore.status', 'two')[0]).toMatchObject({
      value: 1,
      attributes: { 'restore.state': 'running' },
    })
  })

  test('after its end a restore sends nothing more, however long the daemon goes on', async () => {
    const { telemetry, receiver } = await startWithReceiver({ OTEL_METRIC_EXPORT_INTERVAL: '50' })
    begin(telemetry, 'one')
    fail(telemetry, 'one', 'source_missing')
    await receiver.until(hasEnded(receiver, 'one'))
    await lastExportTaken()
    const sent = receiver.exports().length
    await new Promise(resolve => setTimeout(resolve, 400))
    await telemetry.shutdown()
    expect(receiver.exports()).toHaveLength(sent)
  })

  test('errors and dropped lines of one are not counted to the next', async () => {
    const { telemetry, receiver } = await startWithReceiver()
    begin(telemetry, 'one')
    flood(telemetry, 'one', 500)
    fail(telemetry, 'one', 'source_missing')
    begin(telemetry, 'two')
    flood(telemetry, 'two', 3)
    fail(telemetry, 'two', 'disk_full')
    await telemetry.shutdown()
    const errors = (id: string) =>
      last(receiver, 'restore.errors', id)
        .filter(({ value }) => value > 0)
        .map(({ attributes, value }) => [attributes['error.type'], value])
    expect([errors('one'), errors('two')]).toEqual([[['source_missing', 1]], [['disk_full', 1]]])
    const phases = (id: string) =>
      last(receiver, 'restore.phase.duration', id).map(({ attributes }) => attributes['error.type'])
    expect([phases('one'), phases('two')]).toEqual([['source_missing'], ['disk_full']])
    // Both restores' lines fall into one second: each has its own hundred.
    expect(receiver.logs().filter(({ body }) => body.stringValue.startsWith('line '))).toHaveLength(80 + 3)
  })

  test('both have one resource, and their traces and logs go the same way', async () => {
    const { telemetry, receiver } = await startWithReceiver()
    begin(telemetry, 'one')
    fail(telemetry, 'one', 'source_missing')
    const trace = { ...sampleState().trace, traceId: 'ee'.repeat(16) }
    begin(telemetry, 'two', { trace })
    fail(telemetry, 'two', 'source_missing')
    await telemetry.shutdown()
    const resources = [...receiver.resourceSpans, ...receiver.resourceMetrics, ...receiver.resourceLogs]
    const instances = resources.map(({ resource }) => attributesOf(resource)['service.instance.id'])
    expect(new Set(instances).size).toBe(1)
    expect(receiver.spans().filter(({ name }) => name === 'restore')).toHaveLength(2)
    expect(receiver.logs().filter(({ eventName }) => eventName === 'restore.failed')).toHaveLength(2)
  })
})

test('200 restores, each with errors, phases and steps: every series has its restore, none overflows', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  for (let n = 0; n < 200; n++) {
    begin(telemetry, `r${n}`, { plan: samplePlan() })
    fail(telemetry, `r${n}`, 'source_missing')
    await new Promise(setImmediate)
  }
  await receiver.until(hasEnded(receiver, 'r199'), 20_000)
  await telemetry.shutdown()
  const all = samples(receiver)
  expect(all.filter(({ attributes }) => 'otel.metric.overflow' in attributes)).toEqual([])
  expect(all.every(({ id }) => typeof id === 'string')).toBe(true)
  for (let n = 0; n < 200; n++) {
    expect(hasEnded(receiver, `r${n}`)()).toBe(true)
    expect(last(receiver, 'restore.phase.status', `r${n}`)).not.toEqual([])
  }
}, 60_000)

test('a backend that hangs keeps no restore and no next one waiting, nor the end of the daemon', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  receiver.misbehave('hang')
  const began = performance.now()
  for (let n = 0; n < 20; n++) {
    begin(telemetry, `r${n}`)
    fail(telemetry, `r${n}`, 'source_missing')
  }
  expect(performance.now() - began).toBeLessThan(2000)
  const ending = performance.now()
  await telemetry.shutdown()
  expect(performance.now() - ending).toBeLessThan(3200)
})

test('who scrapes sees the newest restore, on one port', async () => {
  const { port } = new URL(await refusingUrl())
  const { telemetry, warnings } = await start({
    OTEL_METRICS_EXPORTER: 'prometheus',
    OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    OTEL_EXPORTER_PROMETHEUS_PORT: port,
  })
  onTestFinished(() => telemetry.shutdown())
  const scrape = async (path = '/metrics') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
    return { status: response.status, text: await response.text() }
  }
  expect(await scrape()).toEqual({ status: 200, text: '' })
  expect((await scrape('/')).status).toBe(404)
  begin(telemetry, 'one')
  fail(telemetry, 'one', 'source_missing')
  expect((await scrape()).text).toMatch(/^restore_status\{.*restore_id="one".*restore_state="failed".*\} 1$/m)
  begin(telemetry, 'two')
  const { text } = await scrape()
  expect(text).toMatch(/^restore_status\{.*restore_id="two".*restore_state="running".*\} 1$/m)
  expect(text).not.toContain('restore_id="one"')
  expect(warnings).toEqual([])
})
