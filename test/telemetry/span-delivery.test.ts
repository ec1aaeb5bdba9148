import { ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { expect, test } from 'vitest'
import type { UnsentSpan } from '../../src/restore/state/state.ts'
import { makeSpanDelivery } from '../../src/telemetry/span-delivery.ts'
import { endedSpan, sampleState } from './sample-state.ts'
import { startWithReceiver } from './start.ts'

const unsent = (...numbers: number[]): readonly UnsentSpan[] =>
  sampleState({ endedSpans: numbers.map(n => endedSpan(n, 'phase', 1)) }).unsentSpans

/** A delivery whose exports end as `results` say, one by one. */
function delivery() {
  const clock = { ms: 0 }
  const sent: string[] = []
  const acknowledged: string[] = []
  const made = makeSpanDelivery(
    span => sent.push(span.id),
    () => clock.ms,
  )
  let code = ExportResultCode.SUCCESS
  const exporter = made.withReceipts({
    export: (_spans, done) => done({ code }),
    shutdown: async () => {},
  })
  const answer = (spans: readonly UnsentSpan[], result: ExportResultCode) => {
    code = result
    const exported = spans.map(({ id, trace }) => ({ spanContext: () => ({ spanId: id, traceId: trace.traceId }) }))
    return new Promise(resolve => exporter.export(exported as unknown as ReadableSpan[], resolve))
  }
  return { ...made, clock, sent, acknowledged, answer, listen: () => made.onExported(ids => acknowledged.push(...ids)) }
}

test('a span is sent once, however often the state shows it, and is acknowledged', async () => {
  const { send, sent, answer, listen, acknowledged, clock } = delivery()
  listen()
  const spans = unsent(4, 5)
  for (let n = 0; n < 10; n++) send(spans)
  await answer(spans, ExportResultCode.SUCCESS)
  clock.ms = 1e9
  send(spans)
  expect(sent).toEqual(spans.map(({ id }) => id))
  expect(acknowledged).toEqual(sent)
})

test('after a failure it is sent again, 10 s later; unheard of, after 90 s', async () => {
  const { send, sent, answer, clock } = delivery()
  const spans = unsent(4)
  send(spans)
  await answer(spans, ExportResultCode.FAILED)
  clock.ms = 9_999
  send(spans)
  expect(sent).toHaveLength(1)
  clock.ms = 10_000
  send(spans)
  expect(sent).toHaveLength(2)
  clock.ms = 99_999
  send(spans)
  expect(sent).toHaveLength(2)
  clock.ms = 100_000
  send(spans)
  expect(sent).toHaveLength(3)
})

test('what was acknowledged before anybody listened is told at once', async () => {
  const { send, answer, listen, acknowledged } = delivery()
  const spans = unsent(4, 5)
  send(spans)
  await answer(spans, ExportResultCode.SUCCESS)
  expect(acknowledged).toEqual([])
  listen()
  expect(acknowledged).toEqual(spans.map(({ id }) => id))
})

test('a real exporter: acknowledged by a backend that takes it, not by one that refuses', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const acknowledged: string[] = []
  telemetry.onSpansExported(ids => acknowledged.push(...ids))
  receiver.misbehave('status_500')
  telemetry.resend(unsent(4))
  await receiver.until(() => receiver.requests.some(({ path }) => path === '/v1/traces'))
  receiver.misbehave('none')
  telemetry.resend(unsent(5))
  await receiver.until(() => acknowledged.length > 0)
  expect(acknowledged).toEqual(unsent(5).map(({ id }) => id))
  await telemetry.shutdown()
})
