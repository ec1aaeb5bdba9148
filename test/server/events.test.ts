import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { statusSchema } from '../../src/server/api-schema.ts'
import { createEventStream, EVENT_STREAM_LIMITS } from '../../src/server/event-stream.ts'
import { until } from '../support/until.ts'
import { startAgent, TOKEN } from './served.ts'

/** Reads GET /events; `statuses` fills as they come. */
async function follow(url: string) {
  const stopper = new AbortController()
  onTestFinished(() => stopper.abort())
  const response = await fetch(`${url}/events`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    signal: stopper.signal,
  })
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  const statuses: any[] = []
  let ended = false
  const reading = (async () => {
    let text = ''
    try {
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (text + piece).split('\n\n')
        text = blocks.pop()!
        for (const block of blocks) {
          const data = /^event: status\ndata: (.*)$/.exec(block)?.[1]
          if (data !== undefined) statuses.push(JSON.parse(data))
        }
      }
    } catch {
      // The test has seen enough.
    }
    ended = true
  })()
  return { response, statuses, reading, stop: () => stopper.abort(), ended: () => ended }
}

test('the status comes at once, and again when it changes', async () => {
  const agent = await startAgent()
  const { response, statuses } = await follow(agent.url())
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-store')
  await until(() => statuses.length === 1)
  expect(statuses[0]).toEqual(statusSchema.parse(statuses[0]))
  expect(statuses[0].restore).toBe(null)
  const session = await agent.start()
  session.goTo('preparing_backup')
  await until(() => statuses.at(-1).restore?.phase === 'preparing_backup')
  session.end()
  await until(() => statuses.at(-1).restore?.status === 'succeeded')
})

test('at most ten times a second, however many states come, and the last one is among them', async () => {
  const agent = await startAgent()
  const { statuses } = await follow(agent.url())
  const session = await agent.start()
  const startedAtMs = performance.now()
  const before = statuses.length
  for (let round = 0; performance.now() - startedAtMs < 1_000; round++) {
    for (let burst = 0; burst < 50; burst++) session.dispatch({ type: 'notice', text: `${round}/${burst}` })
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  session.dispatch({ type: 'notice', text: 'the last' })
  await until(() => statuses.at(-1).restore.notices.at(-1) === 'the last')
  const tenths = (performance.now() - startedAtMs) / 100
  expect(statuses.length - before).toBeLessThanOrEqual(tenths + 2)
  expect(statuses.length - before).toBeGreaterThan(5)
})

test('many readers, and one too many', async () => {
  const agent = await startAgent()
  const readers = await Promise.all(Array.from({ length: EVENT_STREAM_LIMITS.mostReaders }, () => follow(agent.url())))
  const refused = await agent.call('GET', '/events')
  expect([refused.status, refused.body.error.code]).toEqual([503, 'too_many_streams'])
  readers[0]!.stop()
  let next: Awaited<ReturnType<typeof follow>> | undefined
  await until(async () => {
    next = await follow(agent.url())
    return next.response.status === 200
  })
  await until(() => next!.statuses.length === 1)
})

test('HEAD /events ends', async () => {
  const agent = await startAgent()
  const response = await fetch(`${agent.url()}/events`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    method: 'HEAD',
    signal: AbortSignal.timeout(2_000),
  })
  expect(response.status).toBe(200)
})

test('the streams end when the agent does', async () => {
  const agent = await startAgent()
  const reader = await follow(agent.url())
  await until(() => reader.statuses.length === 1)
  await agent.call('POST', '/drain')
  await agent.served.ended
  await reader.reading
  expect(reader.ended()).toBe(true)
})

/** A response that counts what is written and says how much of it nobody has taken. */
function fakeReader(unread: () => number) {
  const written: string[] = []
  const reader = Object.assign(new EventEmitter(), {
    req: { method: 'GET' },
    written,
    destroyed: false,
    writeHead() {},
    write: (text: string) => written.push(text) > 0,
    end() {},
    destroy() {
      reader.destroyed = true
    },
  })
  Object.defineProperty(reader, 'writableLength', { get: unread })
  return reader
}

test('who does not read is cut off, and the others go on; a sign of life comes without any change', async () => {
  const limits = { ...EVENT_STREAM_LIMITS, everyMs: 5, heartbeatMs: 30 }
  const stream = createEventStream(() => '{}', limits)
  onTestFinished(() => stream.close())
  let unread = 0
  const [slow, quick] = [fakeReader(() => unread), fakeReader(() => 0)]
  for (const reader of [slow, quick]) stream.add(reader as unknown as ServerResponse)
  await until(() => slow.written.includes(': alive\n\n'))
  unread = limits.mostUnreadBytes + 1
  stream.changed()
  await until(() => slow.destroyed)
  const [slowGot, quickGot] = [slow.written.length, quick.written.length]
  stream.changed()
  await until(() => quick.written.length > quickGot)
  expect([slow.written.length, quick.destroyed, stream.readers]).toEqual([slowGot, false, 1])
})
