import { expect, inject, onTestFinished, test } from 'vitest'
import { workspace } from '../integration/workspace.ts'
import { attributesOf, startOtlpReceiver } from '../telemetry/otlp-receiver.ts'
import { expectEqual, restoreTo } from './equal.ts'

const { marks } = inject('history')

test('to the end: every statement of every binlog is applied, a transaction of 100 MB among them', async () => {
  const at = workspace()
  const receiver = await startOtlpReceiver()
  onTestFinished(receiver.close)
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
  await expectEqual(at, await restoreTo(at, [], { env }), 'end')
  const { binlogs, plan } = at.state()!
  const spans = receiver.spans().filter(({ name }) => name === 'binlog apply')
  const phase = receiver.spans().find(({ name }) => name === 'applying_binlogs')!
  const told = spans.map(attributesOf).map(span => [span['restore.binlog.file'], span['restore.binlog.transactions']])
  expect(told).toEqual(plan!.binlogs!.files.map(({ name, transactions }) => [name, transactions]))
  expect(new Set(spans.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set([phase.spanId]))
  expect(binlogs).toMatchObject({ transactions: plan!.binlogs!.transactions, dataAsOfMs: plan!.binlogs!.dataAsOfMs })
  expect(plan!.binlogs!.transactions).toBeGreaterThan(4000)
})

test('to a GTID', async () => {
  const at = workspace()
  await expectEqual(at, await restoreTo(at, ['--to-gtid', marks.ddl.gtid]), 'ddl')
})

test('to a position', async () => {
  const at = workspace()
  const { file, position } = marks.statement
  await expectEqual(at, await restoreTo(at, ['--to-position', `${file}:${position}`]), 'statement')
})

test('to a time', async () => {
  const at = workspace()
  const time = new Date(marks.row.atMs).toISOString()
  await expectEqual(at, await restoreTo(at, ['--to-time', time]), 'row')
})

test('to a moment with a prepared XA transaction: it is prepared again, and told', async () => {
  const at = workspace()
  await expectEqual(at, await restoreTo(at, ['--to-gtid', marks.xa.gtid]), 'xa')
  expect(at.state()!.notices.join('\n')).toContain("prepared XA transactions: X'6f70656e',X'',5")
})

test('to the backup itself: nothing is applied', async () => {
  const at = workspace()
  await expectEqual(at, await restoreTo(at, ['--to-gtid', marks.backup.gtid]), 'backup')
})
