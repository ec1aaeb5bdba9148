import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { expect, test } from 'vitest'
import { startAgent, TOKEN } from './served.ts'

/** Milliseconds of one GET over a kept connection. */
async function get(agent: Agent, url: string): Promise<number> {
  const startedAtMs = performance.now()
  const asked = request(url, { agent, headers: { Authorization: `Bearer ${TOKEN}` } }).end()
  const [response] = await once(asked, 'response')
  for await (const _ of response) {
    // To its end.
  }
  expect(response.statusCode).toBe(200)
  return performance.now() - startedAtMs
}

test('50 requests a second for /status/restore, p90 below 100 ms, while states come as fast as a restore makes them', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  session.goTo('restoring_basebackup')
  // Samples and lines come every 100 ms each; this is ten times as many, with readers of events besides.
  let readBytes = 0
  const busy = setInterval(() => {
    readBytes += 1
    const sample = { cpuSeconds: 1, rcharBytes: 1, readBytes: 1, writeBytes: 1 }
    session.dispatch({ type: 'sample', position: 1, sample, delta: sample, lines: 1, sourceReadBytes: readBytes })
    session.dispatch({ type: 'notice', text: `notice ${readBytes}` })
  }, 5)
  const readers = await Promise.all(
    [1, 2, 3].map(() => fetch(`${agent.url()}/events`, { headers: { Authorization: `Bearer ${TOKEN}` } })),
  )
  const drains = readers.map(async reader => {
    for await (const _ of reader.body!) {
      // Reads on.
    }
  })
  const connections = new Agent({ keepAlive: true })
  const asked: Promise<number>[] = []
  for (let n = 0; n < 200; n++) {
    asked.push(get(connections, `${agent.url()}/status/restore`))
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const elapsed = (await Promise.all(asked)).sort((a, b) => a - b)
  clearInterval(busy)
  connections.destroy()
  await agent.call('POST', '/drain')
  session.end()
  await agent.served.ended
  await Promise.allSettled(drains)
  expect(readBytes).toBeGreaterThan(300)
  expect(elapsed[Math.ceil(0.9 * elapsed.length) - 1]).toBeLessThan(100)
})
