import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadServeConfig } from '../../src/config/serve-config.ts'
import { addressUrl, type TcpAddress } from '../../src/config/serve-schema.ts'
import { RestoreError } from '../../src/errors.ts'
import { type Served, type ServeOptions, serve } from '../../src/server/serve.ts'
import { type FakeSessions, fakeSessions } from './fake-sessions.ts'

export interface TestAgent {
  served: Served
  fake: FakeSessions
  folder: string
  /** Lines of the agent's log, as `level event: message`. */
  log: string[]
  url(): string
  port(): number
  /** A request with the token; its answer's status, headers and JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** POST /restore; the session it began. */
  start(backup?: string): Promise<FakeSessions['sessions'][number]>
  /** Writes serve.yaml anew and reloads. */
  reload(yaml: string): Promise<void>
}

export interface CallOptions {
  json?: unknown
  body?: string
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  body: any
}

export const YAML = `
listen: 127.0.0.1:0
token_file: token
state_dir: state
defaults: {datadir: data}
backups:
  - {name: chain, source: [full.xb, inc1.xb, inc2.xb]}
  - {name: full, source: full.xb}
  - {name: elsewhere, source: other.xb, datadir: other}
`

export const TOKEN = 'correct-horse-battery-staple'
/** As raw requests show it. */
export const AUTHORIZATION = `Authorization: Bearer ${TOKEN}`

/** An agent with fake sessions on a free port, from a real serve.yaml in a folder of its own; it ends with the test. */
export async function startAgent(
  yaml = YAML,
  changes: Partial<ServeOptions> & { fake?: FakeSessions } = {},
): Promise<TestAgent> {
  const folder = mkdtempSync(join(tmpdir(), 'ra-serve-'))
  const fake = changes.fake ?? fakeSessions()
  const log: string[] = []
  const place = { cwd: folder, env: {}, isRoot: false }
  writeFileSync(join(folder, 'token'), `${TOKEN}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'serve.yaml'), yaml)
  const load = () => loadServeConfig('serve.yaml', place)
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const served = await serve({
    config: await load(),
    load,
    place,
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
    childEnv: spanId => ({ PATH: process.env.PATH!, TRACEPARENT: `00-${'ab'.repeat(16)}-${spanId}-01` }),
    log: (level, event, message) => log.push(`${level} ${event}: ${message}`),
    ...changes,
  })
  onTestFinished(async () => {
    served.stop(new RestoreError('terminated', 'the test ends'), 'detach')
    await served.ended
  })
  const url = () => addressUrl(served.address)
  const port = () => (served.address as TcpAddress).port
  const call: TestAgent['call'] = async (method, path, { json, body, headers = {} } = {}) => {
    const response = await fetch(url() + path, {
      method,
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(body !== undefined && { body }),
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        ...(json !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
  return {
    served,
    fake,
    folder,
    log,
    url,
    port,
    call,
    async start(backup = 'chain') {
      const { status, body } = await call('POST', '/restore', { json: { backup } })
      if (status !== 202) throw new Error(`POST /restore: ${status} ${JSON.stringify(body)}`)
      return fake.sessions.at(-1)!
    },
    async reload(text) {
      writeFileSync(join(folder, 'serve.yaml'), text)
      await served.reload()
    },
  }
}
