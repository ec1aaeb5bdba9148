import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { xbcloudObjects } from '../fixtures/xbcloud-objects.ts'
import { xbstream } from '../fixtures/xbstream-writer.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectSuccess, processAt, processesAt, startAgent, workspace } from '../integration/workspace.ts'
import { FIXTURES, objectsIn } from '../layout/listings.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { type S3Server, startS3 } from './s3-server.ts'

/** Places in a real S3 server on loopback. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let server: S3Server
beforeAll(async () => {
  server = await startS3()
})
afterAll(() => server.stop())

async function load(bucket: string, objects: Readonly<Record<string, Buffer>>): Promise<void> {
  const entries = Object.entries(objects)
  for (let at = 0; at < entries.length; at += 16)
    await Promise.all(entries.slice(at, at + 16).map(([key, bytes]) => server.put(`${bucket}/${key}`, bytes)))
}

test('a store that xbcloud wrote, loaded into S3, is listed with nothing missing', async () => {
  const dir = scratch()
  execFileSync('tar', ['-C', dir, '--zstd', '-xf', join(FIXTURES, 'xbcloud-store.tar.zst')])
  await server.put('percona')
  await load('percona/daily', objectsIn(dir))
  const { code, stdout } = await startAgent(['list', 's3://percona/daily', '--json'], { env: server.env }).ended
  expect(code).toBe(0)
  const { backups, layout } = JSON.parse(stdout)
  expect(layout).toBe('xbcloud')
  expect(backups).toMatchObject([
    { kind: 'full', complete: true, problem: null, files: 156, extracted_bytes: 116245731 },
    { kind: 'incremental', complete: true, problem: null, base: 'cluster1-2026-11-27-16:35:10-full' },
  ])
})

/** A backup that is whole by its listing, and no backup. */
const NEWER = { ibdata1: Buffer.alloc(100), xtrabackup_info: Buffer.from('uuid = 1\n') }

/** Documented bytes: a real stream of mariadb-backup, cut into objects as xbcloud cuts one. */
test('a backup of many objects survives the death of its agent; latest stays the one that was begun', async () => {
  const at = workspace()
  const backup = await sharedBackup()
  const stream = readFileSync(backup.full.bare)
  await server.put('prod')
  const objects = xbcloudObjects('c1-2026-01-01-03:00:00-full', stream)
  await load('prod/db', objects)
  const options = {
    args: ['--backup', 'latest', '--max-bandwidth', String(Math.floor(stream.length / 4))],
    env: server.env,
  }
  const first = at.start(['s3://prod/db'], options)
  const pid = await processAt(at.dir, /main\.ts transfer s3/)
  await until(() => (at.state()?.source.readBytes ?? 0) > 0, 'bytes arrive')
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  expect(processesAt(at.dir).map(running => running.pid)).toContain(pid)
  await load('prod/db', xbcloudObjects('c1-2026-01-02-03:00:00-full', xbstream(NEWER)))
  const getsBefore = server.gets()
  expectSuccess(await at.restore(['s3://prod/db'], options))
  expect(server.gets() - getsBefore).toBeLessThan(Object.keys(objects).length)
  const restored = await startServer(at.datadir)
  try {
    expect(await checksums(restored)).toEqual(backup.checksums.full)
  } finally {
    await restored.stop()
  }
})
