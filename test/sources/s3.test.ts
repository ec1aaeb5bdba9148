import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import {
  expectFailure,
  expectSuccess,
  processAt,
  processesAt,
  type Workspace,
  workspace,
} from '../integration/workspace.ts'
import { until } from '../support/until.ts'
import { type S3Server, startS3 } from './s3-server.ts'

let backup: Backup
let s3: S3Server
const FULL = 's3://backups/2026-06-17/full 1.xb.zst'

beforeAll(async () => {
  ;[s3, backup] = await Promise.all([startS3(), sharedBackup()])
  await s3.put('backups')
  await s3.put('backups/2026-06-17/full 1.xb.zst', readFileSync(backup.full.zst))
  await s3.put('backups/2026-06-17/full.xb', readFileSync(backup.full.bare))
  await s3.put('backups/inc.xb', readFileSync(backup.incremental))
})
afterAll(() => s3?.stop())

async function expectTables(at: Workspace, expected: readonly string[]): Promise<void> {
  expect(processesAt(at.dir)).toEqual([])
  expect(readdirSync(at.dir).filter(name => !['data', 'state'].includes(name))).toEqual([])
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(expected)
  } finally {
    await server.stop()
  }
}

test('a chain is restored from S3', async () => {
  const at = workspace()
  expectSuccess(await at.restore(['s3://backups/2026-06-17/full.xb', 's3://backups/inc.xb'], { env: s3.env }))
  await expectTables(at, backup.checksums.incremental)
})

test('a killed agent leaves the transfer running; the next one adopts it, and no byte is fetched twice', async () => {
  const at = workspace()
  const size = readFileSync(backup.full.zst).length
  const args = ['--max-bandwidth', String(Math.ceil(size / 6))]
  const before = s3.gets()
  const first = at.start([FULL], { env: s3.env, args })
  const pid = await processAt(at.dir, /main\.ts transfer s3:/)
  await until(() => (at.state()?.source.readBytes ?? 0) > 0, 'bytes arrive')
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  expect(processesAt(at.dir).map(running => running.pid)).toContain(pid)
  expectSuccess(await at.restore([FULL], { env: s3.env, args }))
  expect(at.state()!.attempt).toBe(1)
  // Each agent may look twice; a second transfer would ask for every window of 8 MiB again, and look before.
  expect(s3.gets() - before).toBeLessThan(2 + 2 * Math.ceil(size / (8 << 20)))
  await expectTables(at, backup.checksums.full)
})

test('an object that is replaced before its turn in the chain ends in source_changed, and nothing is left', async () => {
  const at = workspace()
  await s3.put('backups/replaced.xb', readFileSync(backup.incremental))
  const args = ['--max-bandwidth', '8M', '--prefetch', 'off']
  const running = at.start(['s3://backups/2026-06-17/full.xb', 's3://backups/replaced.xb'], { env: s3.env, args })
  await until(() => (at.state()?.source.readBytes ?? 0) > 0, 'bytes arrive', 60_000)
  await s3.put('backups/replaced.xb', Buffer.from(readFileSync(backup.incremental)).fill('x', 1 << 20))
  expectFailure(at, await running.ended, 'source_changed')
})

describe('what the store refuses is told before anything is written', () => {
  test.each([
    ['s3://backups/none.xb', {}, 'source_missing', 'NoSuchKey'],
    ['s3://no-such-bucket/full.xb', {}, 'source_missing', 'NoSuchBucket'],
    [FULL, { AWS_ACCESS_KEY_ID: 'AKIDNOBODY' }, 'source_denied', 'InvalidAccessKeyId'],
    [FULL, { AWS_SECRET_ACCESS_KEY: 'wrong' }, 'source_denied', 'SignatureDoesNotMatch'],
    [FULL, { AWS_SECRET_ACCESS_KEY: '' }, 'credentials_failed', 'no credentials'],
  ] as const)('%s with %j: %s', async (source, env, code, said) => {
    const at = workspace()
    const ended = await at.restore([source], { env: { ...s3.env, ...env } })
    expectFailure(at, ended, code)
    expect(ended.stderr).toContain(said)
  })

  test('a user without the right', async () => {
    const at = workspace()
    const ended = await at.restore([FULL], { env: await s3.stranger() })
    expectFailure(at, ended, 'source_denied')
    expect(ended.stderr).toContain('s3:GetObject on backups/2026-06-17/full 1.xb.zst')
  })

  test('an endpoint where nothing listens', async () => {
    const at = workspace()
    const ended = await at.restore([FULL], { env: s3.env, args: ['--s3-endpoint', 'http://127.0.0.1:9'] })
    expectFailure(at, ended, 'source_unreachable')
  })
})

test('the region of the store is found where another one is configured', async () => {
  const at = workspace()
  expectSuccess(await at.restore([FULL], { env: s3.env, args: ['--s3-region', 'us-west-2', '--dry-run'] }))
})

test('no secret is in an argument, the state, a log or a message; the transfer process has AWS variables alone', async () => {
  const at = workspace()
  const env = { ...s3.env, VAULT_TOKEN: 'another-secret', AWS_SESSION_TOKEN_NOTE: 'another-secret' }
  const args = ['--max-bandwidth', '2M']
  const running = at.start([FULL], { env, args })
  const pid = await processAt(at.dir, /^\S+node \S+main\.ts transfer s3:/)
  const seen = readFileSync(`/proc/${pid}/environ`, 'latin1')
  expect(seen).toContain(s3.env.AWS_SECRET_ACCESS_KEY)
  expect(seen).not.toContain('another-secret')
  const commands = processesAt(at.dir).map(({ command }) => command)
  expect(commands.join('\n')).not.toContain(s3.env.AWS_SECRET_ACCESS_KEY)
  const ended = await running.ended
  expectSuccess(ended)
  expect(ended.stdout + ended.stderr).not.toContain(s3.env.AWS_SECRET_ACCESS_KEY)
  for (const file of readdirSync(at.stateDir, { recursive: true, withFileTypes: true }))
    if (file.isFile())
      expect(readFileSync(join(file.parentPath, file.name), 'utf8')).not.toContain(s3.env.AWS_SECRET_ACCESS_KEY)
})
