import { expect, test } from 'vitest'
import type { EndedSpan } from '../../src/restore/state/state.ts'
import { attributesOf } from './otlp-receiver.ts'
import { endedSpan, sampleState, spanId, startedState, T0, TRACE_ID } from './sample-state.ts'
import { startWithReceiver } from './start.ts'

const TICK = { type: 'tick', atMs: T0 } as const
const nano = (ms: number) => `${BigInt(ms) * 1_000_000n}`

test('a whole trace arrives with the ids, parents, times and links that the state gave it', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const link = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) }
  const ended: EndedSpan[] = [
    endedSpan(8, 'tool', 6, { name: 'mariadb-backup', attributes: { 'process.pid': 77, 'process.exit.code': 0 } }),
    endedSpan(7, 'progress', 5, { attributes: { 'restore.progress.from': 0, 'restore.progress.to': 10 } }),
    endedSpan(6, 'step', 5, { name: 'redo_scan' }),
    endedSpan(5, 'phase', 3, { name: 'preparing_backup', startedAtMs: T0 + 100, endedAtMs: T0 + 2345 }),
    endedSpan(3, 'attempt', 1, { links: [{ traceId: TRACE_ID, spanId: spanId(99) }, link] }),
  ]
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  telemetry.observe(sampleState({ endedSpans: ended }), TICK)
  telemetry.observe(sampleState(), TICK)
  const attributes = { result: 'succeeded', ok: true, ratio: 0.5 }
  const outcome = endedSpan(2, 'outcome', 1, { name: 'restore outcome', attributes })
  telemetry.observe(sampleState({ endedSpans: [outcome], spans: [], status: 'succeeded', phase: 'completed' }), TICK)
  await telemetry.shutdown()

  const spans = receiver.spans()
  expect(new Set(spans.map(span => span.spanId)).size).toBe(spans.length)
  expect(new Set(spans.map(span => span.traceId))).toEqual(new Set([TRACE_ID]))
  expect(spans.map(span => [span.name, span.spanId, span.parentSpanId ?? null])).toEqual([
    ['restore', spanId(1), null],
    ['mariadb-backup', spanId(8), spanId(6)],
    ['progress', spanId(7), spanId(5)],
    ['redo_scan', spanId(6), spanId(5)],
    ['preparing_backup', spanId(5), spanId(3)],
    ['attempt', spanId(3), spanId(1)],
    ['restore outcome', spanId(2), spanId(1)],
  ])
  const byName = new Map(spans.map(span => [span.name, span]))
  const phase = byName.get('preparing_backup')!
  expect([phase.startTimeUnixNano, phase.endTimeUnixNano]).toEqual([nano(T0 + 100), nano(T0 + 2345)])
  const root = byName.get('restore')!
  expect([root.startTimeUnixNano, root.endTimeUnixNano]).toEqual([nano(T0), nano(T0 + 1)])
  expect(byName.get('attempt')!.links).toMatchObject([{ traceId: TRACE_ID, spanId: spanId(99) }, link])
  expect(attributesOf(byName.get('mariadb-backup')!)).toEqual({ 'process.pid': 77, 'process.exit.code': 0 })
  expect(attributesOf(byName.get('restore outcome')!)).toEqual({ result: 'succeeded', ok: true, ratio: 0.5 })
  expect(spans.every(({ status }) => status.code === 0)).toBe(true)
  expect(phase.flags).toBe(0x101)
})

test('an error sets status and error.type, and the innermost span has the one record with the exception', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const error = { code: 'prepare_failed', message: 'mariadb-backup exited 1 --password=hunter2' } as const
  const ended = [endedSpan(6, 'tool', 5, { error }), endedSpan(5, 'phase', 3, { error })]
  telemetry.observe(sampleState({ endedSpans: ended }), TICK)
  telemetry.observe(sampleState({ endedSpans: [endedSpan(3, 'attempt', 1, { error })] }), TICK)
  await telemetry.shutdown()
  for (const span of receiver.spans()) {
    expect(span.status).toEqual({ code: 2, message: 'mariadb-backup exited 1 --password=***' })
    expect(attributesOf(span)['error.type']).toBe('prepare_failed')
  }
  expect(receiver.spans()).toHaveLength(3)
  const exceptions = receiver.logs().filter(({ eventName }) => eventName === 'exception')
  expect(exceptions).toMatchObject([{ severityNumber: 17, traceId: TRACE_ID, spanId: spanId(6) }])
  expect(attributesOf(exceptions[0]!)).toMatchObject({
    'error.type': 'prepare_failed',
    'exception.type': 'prepare_failed',
    'exception.message': 'mariadb-backup exited 1 --password=***',
  })
})

test('flags 0: no span leaves, logs and metrics do', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const { trace } = sampleState()
  telemetry.observe(startedState({ trace: { ...trace, flags: 0 } }), { type: 'restore_started', atMs: T0 })
  await telemetry.shutdown()
  expect(receiver.spans()).toEqual([])
  expect(receiver.logs()).toMatchObject([{ eventName: 'restore.started', traceId: TRACE_ID, spanId: spanId(1) }])
  expect(receiver.exports().length).toBeGreaterThan(0)
})

test('a later agent exports the root under the first agent’s remote parent, with its tracestate', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const trace = { ...sampleState().trace, parentSpanId: 'b7ad6b7169203331', traceState: 'vendor=x' }
  const root = endedSpan(1, 'restore', null, { parentId: 'b7ad6b7169203331' })
  telemetry.observe(sampleState({ trace, endedSpans: [endedSpan(3, 'attempt', 1), root] }), TICK)
  await telemetry.shutdown()
  const [attempt, restore] = receiver.spans()
  expect(restore).toMatchObject({
    parentSpanId: 'b7ad6b7169203331',
    traceId: TRACE_ID,
    traceState: 'vendor=x',
    flags: 0x301,
  })
  expect(attempt).toMatchObject({ parentSpanId: spanId(1), traceState: 'vendor=x', flags: 0x101 })
})

test('secrets in attributes do not leave', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const attributes = {
    'process.command_line': 'mariadb-backup --prepare --password=hunter2 --encrypt-key hunter3',
    'restore.source': 'https://bob:hunter4@store.example/full.xb?X-Amz-Signature=hunter5&X-Amz-Date=1',
  }
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  telemetry.observe(sampleState({ endedSpans: [endedSpan(5, 'tool', 3, { attributes })] }), TICK)
  await telemetry.shutdown()
  expect(attributesOf(receiver.spans().at(-1)!)).toEqual({
    'process.command_line': 'mariadb-backup --prepare --password=*** --encrypt-key ***',
    'restore.source': 'https://***@store.example/full.xb?***',
  })
  expect(receiver.requests.some(({ body }) => body.includes('hunter'))).toBe(false)
})
