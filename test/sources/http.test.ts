import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import {
  type Ended,
  expectSuccess,
  processAt,
  processesAt,
  type Workspace,
  workspace,
} from '../integration/workspace.ts'
import { etagOf, type RangeServer, rangeServer } from '../support/range-server.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 120_000 })

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

async function expectRestored(at: Workspace): Promise<void> {
  expect(processesAt(at.dir)).toEqual([])
  expect(readdirSync(at.dir).sort()).toEqual(['data', 'state'])
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
}

function expectFailure({ code, stderr }: Ended, at: Workspace, error: string): void {
  expect(stderr).toContain(`error ${error}: `)
  expect(code).toBeGreaterThan(0)
  expect(existsSync(at.datadir)).toBe(false)
  expect(readdirSync(at.dir)).toEqual(['state'])
}

const serve = (form: 'bare' | 'zst' | 'gz'): Promise<RangeServer> => rangeServer(readFileSync(backup.full[form]))
const SLOW = { kind: 'slow', bytesPerSecond: 1_000_000 } as const

/** Requests before the transfer process begins: what the source is, and its head. */
const LOOKS = 2

test.each(['bare', 'zst', 'gz'] as const)('a %s stream is restored from an HTTP server', async form => {
  const at = workspace()
  const server = await serve(form)
  expectSuccess(await at.restore([server.url]))
  expect(at.state()!.source.readBytes).toBe(server.content.length)
  await expectRestored(at)
})

test('a storm of resets, stalls and refusals does not change what is restored', async () => {
  const at = workspace()
  const server = await serve('zst')
  const faults = [{ kind: 'cut', after: 50_000 }, { kind: 'reset' }, { kind: 'status', status: 503 }] as const
  server.fault = index => (index > 2 && index < 12 ? faults[index % faults.length]! : { kind: 'ok' })
  expectSuccess(await at.restore([server.url]))
  await expectRestored(at)
})

test('a killed agent leaves the transfer running; the next agent adopts it, and no byte is fetched twice', async () => {
  const at = workspace()
  const server = await serve('zst')
  server.fault = index => (index < LOOKS ? { kind: 'ok' } : SLOW)
  const first = at.start([server.url])
  const pid = await processAt(at.dir, /main\.ts transfer http/)
  await until(() => (at.state()?.source.readBytes ?? 0) > 0, 'bytes arrive')
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  expect(processesAt(at.dir).map(running => running.pid)).toContain(pid)
  expectSuccess(await at.restore([server.url]))
  const windows = server.requests.slice(LOOKS)
  expect(windows.length).toBeGreaterThan(0)
  expect(new Set(windows).size).toBe(windows.length)
  await expectRestored(at)
})

test('a killed transfer fails that attempt, and the next one extracts again', async () => {
  const at = workspace()
  const server = await serve('bare')
  server.fault = index => (index < LOOKS ? { kind: 'ok' } : SLOW)
  const running = at.start([server.url], { args: ['--retry-delay', '1ms'] })
  const pid = await processAt(at.dir, /^\S+node \S+main\.ts transfer http/)
  await until(() => (at.state()?.source.readBytes ?? 0) > 0, 'bytes arrive')
  server.fault = () => ({ kind: 'ok' })
  process.kill(pid, 'SIGKILL')
  const ended = await running.ended
  expect(ended.code).toBe(0)
  expect(ended.stderr).toContain('transfer was killed by SIGKILL')
  await expectRestored(at)
})

test('an object that is replaced meanwhile ends in source_changed, and nothing is left', async () => {
  const at = workspace()
  const server = await serve('bare')
  const other = Buffer.from(server.content).fill('x', 500_000, 600_000)
  server.fault = index => {
    if (index < LOOKS) return { kind: 'ok' }
    server.content = other
    // What breaks off has to be asked for again.
    return { kind: 'cut', after: 300_000 }
  }
  expectFailure(await at.restore([server.url]), at, 'source_changed')
})

test('the checksum that the store keeps is compared: what differs is source_corrupt, what is the same is told', async () => {
  const server = await serve('zst')
  const digest = createHash('sha256').update(server.content).digest('base64')
  const send = (value: string) => {
    server.headers = bytes => ({ etag: etagOf(bytes), 'repr-digest': `sha-256=:${value}:` })
  }
  const [differs, same] = [workspace(), workspace()]
  send(digest.replace(/^./, first => (first === 'A' ? 'B' : 'A')))
  // The tools see no damage: the checksum alone knows.
  expectFailure(await differs.restore([server.url]), differs, 'source_corrupt')
  send(digest)
  const ended = await same.restore([server.url])
  expectSuccess(ended)
  expect(ended.stdout + ended.stderr).toMatch(/checksum +verified: /)
  await expectRestored(same)
})

test('a server that refuses is told before anything is written', async () => {
  const at = workspace()
  const server = await serve('zst')
  server.fault = () => ({ kind: 'status', status: 403, body: '<Error>Access Denied</Error>' })
  const ended = await at.restore([server.url])
  expect(ended.stderr).toContain('error source_denied: ')
  expect(ended.stderr).toContain('Access Denied')
  expect(readdirSync(at.dir)).toEqual(['state'])
})

test('a signed URL is in no argument, state, log or message of the restore', async () => {
  const at = workspace()
  const server = await serve('zst')
  server.fault = index => (index < LOOKS ? { kind: 'ok' } : SLOW)
  const url = `${server.url.replace('//', '//ann:s3cret@')}?X-Amz-Signature=s1gned`
  const running = at.start([url])
  await processAt(at.dir, /main\.ts transfer http/)
  // The agent's own command line, as it was written here, is also that of a child that has not begun its program yet.
  const others = processesAt(at.dir).filter(({ command }) => !command.includes('main.ts restore'))
  expect(others.map(({ command }) => command).join('\n')).not.toMatch(/s3cret|s1gned/)
  server.fault = () => ({ kind: 'ok' })
  const ended = await running.ended
  expectSuccess(ended)
  expect(server.paths.every(path => path.endsWith('?X-Amz-Signature=s1gned'))).toBe(true)
  expect(ended.stdout + ended.stderr).not.toMatch(/s3cret|s1gned/)
  for (const file of readdirSync(at.stateDir, { recursive: true, withFileTypes: true }))
    if (file.isFile()) expect(readFileSync(join(file.parentPath, file.name), 'utf8')).not.toMatch(/s3cret|s1gned/)
})

test('--max-bandwidth holds the transfer back', async () => {
  const at = workspace()
  const server = await serve('zst')
  const rate = Math.floor(server.content.length / 4)
  const ended = await at.restore([server.url], { args: ['--max-bandwidth', String(rate)] })
  expectSuccess(ended)
  expect(ended.elapsedMs).toBeGreaterThan(3500)
})

test('over TLS, with a private CA that NODE_EXTRA_CA_CERTS names', async () => {
  const at = workspace()
  const [key, cert] = [join(at.dir, 'key.pem'), join(at.dir, 'cert.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert]
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'ignore' })
  const tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  const server = await rangeServer(readFileSync(backup.full.zst), tls)
  const refused = await at.restore([server.url])
  expect(refused.stderr).toContain('error source_unreachable: ')
  expect(refused.stderr).toContain('NODE_EXTRA_CA_CERTS')
  expectSuccess(await at.restore([server.url], { env: { NODE_EXTRA_CA_CERTS: cert } }))
  const restored = await startServer(at.datadir)
  try {
    expect(await checksums(restored)).toEqual(backup.checksums.full)
  } finally {
    await restored.stop()
  }
})
