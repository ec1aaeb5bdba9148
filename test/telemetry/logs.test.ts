import { expect, test } from 'vitest'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { resumed } from '../support/resumed.ts'
import { attributesOf, type LogRecord, numberOf, pointsOf } from './otlp-receiver.ts'
import { endedSpan, openSpan, sampleProgress, sampleState, spanId, startedState, T0, TRACE_ID } from './sample-state.ts'
import { startWithReceiver } from './start.ts'

const PHASE = openSpan(5, 'phase', 3, {
  name: 'preparing_backup',
  attributes: { 'restore.phase': 'preparing_backup', 'restore.backup': 'full.xb', 'restore.chain.position': 1 },
})
const TOOL = { id: 't1', name: 'mariadb-backup', spanId: spanId(6) } as RestoreState['tools'][number]

const preparing = (changes: Partial<RestoreState> = {}): RestoreState =>
  sampleState({
    phase: 'preparing_backup',
    spans: [openSpan(2, 'outcome', 1), openSpan(3, 'attempt', 1), PHASE],
    ...changes,
  })
const short = ({ eventName, severityText, spanId: id, body }: LogRecord) => [
  eventName,
  severityText,
  id,
  body.stringValue,
]

test('the life of a restore, each record in the context of its span', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const at = (s: number) => T0 + s * 1000
  const percent = (phasePercent: number, restorePercent: number | null, stalled = false) =>
    preparing({ progress: sampleProgress({ phasePercent, restorePercent, stalled }) })
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  telemetry.observe(preparing(), { type: 'phase_started', atMs: at(1), phase: 'preparing_backup', position: 1 })
  telemetry.observe(percent(1.2, null), { type: 'tick', atMs: at(2) })
  telemetry.observe(percent(1.9, null), { type: 'tick', atMs: at(3) })
  telemetry.observe(percent(2, 1.5), { type: 'tick', atMs: at(4) })
  telemetry.observe(percent(2, 1.5, true), { type: 'tick', atMs: at(604) })
  telemetry.observe(percent(2, 1.5, true), { type: 'tick', atMs: at(605) })
  telemetry.observe(percent(2, 1.5), { type: 'tick', atMs: at(606) })
  telemetry.observe(
    sampleState({ phase: 'preparing_backup', endedSpans: [{ ...PHASE, endedAtMs: at(9), error: null }] }),
    {
      type: 'phase_ended',
      atMs: at(9),
      error: null,
    },
  )
  telemetry.observe(
    sampleState({ status: 'succeeded', phase: 'completed', spans: [], endedSpans: [endedSpan(2, 'outcome', 1)] }),
    { type: 'ended', atMs: at(10), status: 'succeeded', phase: 'completed', error: null },
  )
  await telemetry.shutdown()

  const logs = receiver.logs()
  expect(logs.map(short)).toEqual([
    ['restore.started', 'INFO', spanId(1), 'restore restore-1 started'],
    ['restore.phase.started', 'INFO', spanId(5), 'preparing_backup started'],
    ['restore.progress', 'INFO', spanId(5), 'preparing_backup 1 %'],
    ['restore.progress', 'INFO', spanId(5), 'preparing_backup 2 %'],
    ['restore.stalled', 'WARN', spanId(5), 'preparing_backup: no progress for 603 s'],
    ['restore.resumed', 'INFO', spanId(5), 'preparing_backup: progress again'],
    ['restore.phase.ended', 'INFO', spanId(5), 'preparing_backup ended'],
    ['restore.completed', 'INFO', spanId(2), 'restore restore-1 completed'],
  ])
  expect(
    logs.every(({ traceId, attributes }) => traceId === TRACE_ID && attributesOf({ attributes })['restore.id']),
  ).toBe(true)
  expect(logs[1]?.timeUnixNano).toBe(`${BigInt(at(1)) * 1_000_000n}`)
  expect(attributesOf(logs[1]!)).toMatchObject({ 'restore.phase': 'preparing_backup', 'restore.backup': 'full.xb' })
  expect(attributesOf(logs[3]!)).toMatchObject({ 'restore.phase.progress': 2, 'restore.progress': 1 })
  expect(attributesOf(logs[4]!)).not.toHaveProperty('restore.resumed.after')
  expect(attributesOf(logs[5]!)).toMatchObject({ 'restore.resumed.after': 'stall' })
})

test('a failed restore says why, with the exception and the tool’s last words', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const error = {
    code: 'disk_full',
    message: 'no space on /data',
    lastWords: ['a', 'write: ENOSPC'],
    hint: 'free it',
  } as const
  const endedSpans = [endedSpan(2, 'outcome', 1, { error })]
  telemetry.observe(sampleState({ status: 'failed', phase: 'failed', spans: [], endedSpans, error }), {
    type: 'ended',
    atMs: T0,
    status: 'failed',
    phase: 'failed',
    error,
  })
  await telemetry.shutdown()
  const failed = receiver.logs().find(({ eventName }) => eventName === 'restore.failed')!
  expect(failed).toMatchObject({ severityNumber: 17, spanId: spanId(2), traceId: TRACE_ID })
  expect(attributesOf(failed)).toMatchObject({
    'restore.state': 'failed',
    'exception.type': 'disk_full',
    'exception.message': 'no space on /data',
    'restore.error.last_words': 'a\nwrite: ENOSPC',
    'restore.error.hint': 'free it',
  })
})

test('tool lines: DEBUG, complaints and failures at their level, in the context of the tool', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  telemetry.observe(preparing({ tools: [TOOL] }), {
    type: 'tool_lines',
    position: 1,
    id: 'tool',
    readOffset: 0,
    atMs: T0,
    tool: 'mariadb-backup',
    lines: ['InnoDB: fine', '2026 [Warning] odd', '2026 [ERROR] bad', 'done'],
    events: [
      { type: 'complaint', level: 'warning', text: '[Warning] odd' },
      { type: 'failure', code: 'prepare_failed', text: '2026 [ERROR] bad' },
      { type: 'complaint', level: 'error', text: 'said beyond the bound' },
    ],
    count: 5,
    dropped: 0,
  })
  await telemetry.shutdown()
  expect(receiver.logs().map(short)).toEqual([
    [undefined, 'DEBUG', spanId(6), 'InnoDB: fine'],
    [undefined, 'WARN', spanId(6), '2026 [Warning] odd'],
    [undefined, 'ERROR', spanId(6), '2026 [ERROR] bad'],
    [undefined, 'DEBUG', spanId(6), 'done'],
    [undefined, 'ERROR', spanId(6), 'said beyond the bound'],
  ])
})

test('a flood: 100 lines a second, its errors among them, and the rest counted', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const counters = {
    ...sampleState().counters,
    lines: { preparing_backup: 1000 },
    linesDropped: { preparing_backup: 50 },
  }
  const state = preparing({ tools: [TOOL], counters })
  const lines = Array.from({ length: 200 }, (_, n) => `line ${n}.`)
  const complaint = { type: 'complaint', level: 'error', text: 'line 199.' } as const
  for (let n = 0; n < 4; n++)
    telemetry.observe(state, {
      type: 'tool_lines',
      position: 1,
      id: 'tool',
      readOffset: 0,
      atMs: T0 + n * 100,
      tool: 't1',
      lines,
      events: n === 3 ? [complaint] : [],
      count: 250,
      dropped: 10,
    })
  expect(receiver.logs().length).toBeLessThanOrEqual(100)
  telemetry.observe(state, { type: 'tick', atMs: T0 + 1100 })
  await telemetry.shutdown()
  const logs = receiver.logs()
  expect(logs.filter(({ severityText }) => severityText === 'DEBUG')).toHaveLength(80)
  expect(logs.filter(({ severityText }) => severityText === 'ERROR').map(short)).toEqual([
    [undefined, 'ERROR', spanId(6), 'line 199.'],
  ])
  expect(logs.at(-1)?.body.stringValue).toBe('759 lines of mariadb-backup were not passed on')
  expect(attributesOf(logs.at(-1)!)['restore.tool.lines.dropped']).toBe(800 - 81 + 40)
  const dropped = receiver
    .exports()
    .at(-1)
    ?.find(({ name }) => name === 'restore.tool.lines.dropped')
  expect(pointsOf(dropped).map(numberOf)).toEqual([50 + 800 - 81])
})

test('a long line is cut, and a secret in a line does not leave', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const lines = ['x'.repeat(70_000), 'recognized server arguments: --password=hunter2 --datadir=/d']
  telemetry.observe(preparing({ tools: [TOOL] }), {
    type: 'tool_lines',
    position: 1,
    id: 'tool',
    readOffset: 0,
    atMs: T0,
    tool: 't1',
    lines,
    events: [],
    count: 2,
    dropped: 0,
  })
  await telemetry.shutdown()
  const bodies = receiver.logs().map(({ body }) => body.stringValue)
  expect(bodies[0]).toHaveLength(4096)
  expect(bodies[1]).toBe('recognized server arguments: --password=*** --datadir=/d')
})

test('another agent that goes on says so', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  telemetry.observe(preparing(), resumed(preparing(), { agentPid: 4711, adopted: true, atMs: T0 + 5000 }))
  await telemetry.shutdown()

  const [record] = receiver.logs().filter(({ eventName }) => eventName === 'restore.resumed')
  expect(record?.body.stringValue).toBe('agent 4711 resumes the restore and adopts its tools')
  expect(record).toMatchObject({ traceId: TRACE_ID, spanId: PHASE.id })
  expect(attributesOf(record!)).toMatchObject({ 'restore.resumed.after': 'interruption', 'restore.adopted': true })
})
