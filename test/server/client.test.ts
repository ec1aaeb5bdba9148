import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { fetchStatus, followStatus } from '../../src/server/client.ts'
import { until } from '../support/until.ts'
import { startAgent, TOKEN, YAML } from './served.ts'

async function serverThat(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('the token is shown, and a wrong one is told by its code', async () => {
  const agent = await startAgent(YAML)
  expect((await fetchStatus({ url: agent.url(), token: TOKEN })).agent.version).toBe('1.2.3')
  await expect(fetchStatus({ url: agent.url(), token: null })).rejects.toMatchObject({
    code: 'agent_refused',
    message: `the agent at ${agent.url()} refuses: HTTP 401, a bearer token is needed`,
    hint: expect.stringContaining('--token-file'),
  })
})

test.each<[string, RequestListener]>([
  ['another program', (_, response) => response.end('<html>')],
  ['other JSON', (_, response) => response.end('{"status":"green"}')],
  ['an error', (_, response) => response.writeHead(500).end('oh')],
])('%s at that address is no agent', async (_, answer) => {
  const url = await serverThat(answer)
  await expect(fetchStatus({ url, token: null })).rejects.toMatchObject({ code: 'agent_refused' })
})

test('a redirect is not followed: the token would go elsewhere', async () => {
  let asked = 0
  const other = await serverThat((_, response) => {
    asked += 1
    response.end()
  })
  const url = await serverThat((_, response) => response.writeHead(302, { Location: other }).end())
  await expect(fetchStatus({ url, token: TOKEN })).rejects.toMatchObject({ code: 'agent_unreachable' })
  expect(asked).toBe(0)
})

test('an agent that is replaced is waited for, and followed on', async () => {
  let connections = 0
  const agent = await startAgent()
  const body = JSON.stringify((await agent.call('GET', '/status')).body)
  const url = await serverThat((_, response) => {
    connections += 1
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    // In pieces that know nothing of events.
    const text = `: hello\n\nevent: status\ndata: ${body}\n\nevent: st`
    response.write(text.slice(0, 20))
    setTimeout(() => {
      response.write(text.slice(20))
      setTimeout(() => response.destroy(), 20)
    }, 20)
  })
  const stopper = new AbortController()
  let statuses = 0
  for await (const status of followStatus({ url, token: null }, stopper.signal)) {
    expect(status.agent.version).toBe('1.2.3')
    statuses += 1
    if (statuses === 3) stopper.abort()
  }
  expect([statuses, connections]).toEqual([3, 3])
})

test('an agent that stays away is not waited for', async () => {
  const agent = await startAgent()
  const following = followStatus({ url: agent.url(), token: TOKEN }, new AbortController().signal, 300)
  expect((await following.next()).done).toBe(false)
  await agent.call('POST', '/drain')
  await agent.served.ended
  await expect(following.next()).rejects.toMatchObject({ code: 'agent_unreachable' })
})

test('it stops when told, in mid-stream', async () => {
  const agent = await startAgent()
  const stopper = new AbortController()
  const following = followStatus({ url: agent.url(), token: TOKEN }, stopper.signal)
  await following.next()
  setTimeout(() => stopper.abort(), 50)
  expect((await following.next()).done).toBe(true)
  await until(async () => (await agent.call('GET', '/healthz')).status === 200)
})

test('an answer without end, or of gigabytes, is cut off at 8 MiB', { timeout: 30_000 }, async () => {
  let sent = 0
  const endless: RequestListener = (_, response) => {
    response.on('error', () => {})
    const more = () => {
      while (!response.destroyed) {
        sent += 65_536
        if (!response.write(Buffer.alloc(65_536, 'x'))) return
      }
    }
    response.on('drain', more)
    more()
  }
  const url = await serverThat(endless)
  const tooLarge = { code: 'agent_refused', message: expect.stringContaining('more than 8388608 bytes') }
  await expect(fetchStatus({ url, token: null })).rejects.toMatchObject(tooLarge)
  await expect(followStatus({ url, token: null }, new AbortController().signal).next()).rejects.toMatchObject(tooLarge)
  expect(sent).toBeLessThan(64 * 1024 * 1024)
})

test('so is an error without end', async () => {
  const url = await serverThat((_, response) => {
    response.writeHead(500)
    response.end(Buffer.alloc(1024 * 1024, 'x'))
  })
  await expect(fetchStatus({ url, token: null })).rejects.toMatchObject({
    code: 'agent_refused',
    message: expect.stringContaining('more than 65536 bytes'),
  })
})
