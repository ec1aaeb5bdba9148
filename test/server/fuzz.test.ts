import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ServeConfig } from '../../src/config/serve-config.ts'
import type { TcpAddress } from '../../src/config/serve-schema.ts'
import { RestoreError } from '../../src/errors.ts'
import { errorSchema } from '../../src/server/api-schema.ts'
import { type Served, serve } from '../../src/server/serve.ts'
import { refs } from '../support/source-refs.ts'
import { type FakeSessions, fakeSessions } from './fake-sessions.ts'
import { rawRequest, readAnswer } from './raw-request.ts'

const TOKEN = 'correct-horse-battery-staple'
const AUTHORIZATION = `Authorization: Bearer ${TOKEN}`
let served: Served
let port: number
let fake: FakeSessions
let folder: string
const bugs: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ra-fuzz-'))
  fake = fakeSessions()
  const config: ServeConfig = {
    file: 'serve.yaml',
    listen: { host: '127.0.0.1', port: 0 },
    token: TOKEN,
    stateDir: folder,
    onTerm: 'detach',
    history: 5,
    backups: [{ name: 'full', settings: { source: refs('/full.xb'), datadir: '/data' } }],
    hooks: { phase_change: [], success: [], failure: [], stall: [] },
  }
  served = await serve({
    config,
    load: async () => config,
    place: { cwd: '/', env: {}, isRoot: false },
    version: '1.2.3',
    sessions: fake,
    observers: [],
    beginTrace: () => ({
      trace: {
        traceId: 'ab'.repeat(16),
        flags: 1,
        traceState: null,
        parentSpanId: null,
        idPrefix: 'abcdef01',
        nextId: 1,
      },
      link: null,
    }),
    childEnv: () => ({}),
    log: (level, event, message) => {
      if (level === 'error') bugs.push(`${event}: ${message}`)
    },
  })
  port = (served.address as TcpAddress).port
})
afterAll(async () => {
  served.stop(new RestoreError('terminated', 'the test ends'))
  await served.ended
  rmSync(folder, { recursive: true })
})

async function stillThere() {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`)
  expect(answer.status).toBe(200)
  expect(bugs).toEqual([])
}

const PATHS = [
  '/',
  '/restore',
  '/drain/',
  '/status',
  '/status/restore',
  '/restores',
  '/healthz',
  '/readyz',
  '/openapi.json',
]
const path = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 2, arbitrary: fc.webPath() },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...PATHS), fc.webQueryParameters()).map(([to, query]) => `${to}?${query}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '/../status',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/status%00',
      '//',
      '/status/',
      '*',
      'http://x/status',
    ),
  },
)
const method = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD') },
  { weight: 1, arbitrary: fc.constantFrom('PUT', 'PATCH', 'OPTIONS', 'TRACE', 'LINK', 'PURGE') },
)
const body = fc.oneof(
  fc.constant(''),
  fc.json(),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc
    .record({ backup: fc.oneof(fc.string(), fc.constant('full'), fc.jsonValue()) }, { requiredKeys: [] })
    .map(value => JSON.stringify(value)),
  fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }).map(value => JSON.stringify(value)),
  fc.integer({ min: 60_000, max: 80_000 }).map(length => `{"backup":"${'x'.repeat(length)}"}`),
  fc.nat({ max: 30_000 }).map(depth => '['.repeat(depth)),
)
const contentType = fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/plain', 'a/b', '')

const request = fc.oneof(
  { weight: 9, arbitrary: fc.tuple(method, path, body, contentType) },
  { weight: 1, arbitrary: fc.constant(['POST', '/restore', '{"backup":"full"}', 'application/json'] as const) },
)

test('thousands of requests: each has one answer, in time, and what is refused says why', {
  timeout: 120_000,
}, async () => {
  let answers = 0
  await fc.assert(
    fc.asyncProperty(request, async ([method, path, body, type]) => {
      const bytes = Buffer.from(body)
      const head =
        `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nConnection: close\r\nContent-Length: ${bytes.length}\r\n` +
        `${type === '' ? '' : `Content-Type: ${type}\r\n`}\r\n`
      const sent = Buffer.concat([Buffer.from(head, 'latin1'), bytes])
      const text = await rawRequest(port, sent, { forMs: 3_000 })
      const answer = readAnswer(text)
      expect(answer.status, text.slice(0, 200)).toBeGreaterThanOrEqual(200)
      expect([500, 501, 502]).not.toContain(answer.status)
      if (method !== 'HEAD' && answer.status >= 400) {
        const { error } = errorSchema.parse(JSON.parse(answer.body))
        expect(error.message).not.toContain('\n')
        expect(answer.body.length).toBeLessThan(400)
      }
      answers += 1
      // A restore that was begun by luck is ended, so that the next may be.
      for (const session of fake.sessions) if (session.store.state.status === 'running') session.end()
    }),
    { numRuns: 3000 },
  )
  expect(answers).toBe(3000)
  expect(fake.sessions.length).toBeGreaterThan(5)
  for (const { options } of fake.sessions)
    expect([options.sources, options.datadir]).toEqual([refs('/full.xb'), '/data'])
  await stillThere()
})

const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 200 }).map(text => Buffer.from(text)),
  // Half a request, and one that contradicts itself.
  fc
    .tuple(fc.constantFrom(...PATHS), fc.nat({ max: 80 }))
    .map(([path, length]) =>
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`.slice(
          0,
          length,
        ),
      ),
    ),
  fc
    .array(fc.tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 })), { maxLength: 20 })
    .map(headers =>
      Buffer.from(
        `GET /status HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
        'latin1',
      ),
    ),
  fc.constant(
    Buffer.from(`GET /status HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
  ),
  fc.constant(
    Buffer.from(
      `POST /restore HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
    ),
  ),
)

test('bytes that are no request: the connection ends, with an answer or without, and the agent is still there', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(garbage, async bytes => {
      const text = await rawRequest(port, bytes, { forMs: 2_000, end: true })
      if (text === '') return
      const { status, body } = readAnswer(text)
      expect(status).toBeGreaterThanOrEqual(200)
      if (status >= 400) errorSchema.parse(JSON.parse(body))
    }),
    { numRuns: 1000 },
  )
  await stillThere()
})

test('headers that are too large, and a body that never comes, are told so', { timeout: 30_000 }, async () => {
  const large = await rawRequest(
    port,
    `GET /status HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
  )
  expect(readAnswer(large).status).toBe(431)
  const slow = await rawRequest(
    port,
    `POST /restore HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{`,
    { forMs: 15_000 },
  )
  expect(readAnswer(slow).status).toBe(408)
  const chunk = `${(70_000).toString(16)}\r\n${'x'.repeat(70_000)}\r\n`
  const endless = await rawRequest(
    port,
    `POST /restore HTTP/1.1\r\nHost: localhost\r\n${AUTHORIZATION}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`,
    { forMs: 1_000 },
  )
  expect(readAnswer(endless).status).toBe(413)
  await stillThere()
})
