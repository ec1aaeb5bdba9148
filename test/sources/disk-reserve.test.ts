import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test, vi } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectFailure, mountTmpfs, workspace } from '../integration/workspace.ts'
import { rangeServer } from '../support/range-server.ts'

vi.setConfig({ testTimeout: 120_000 })

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const MIB = 2 ** 20
const DISK = 400 * MIB
/** A tenth of the backup may be written. */
const RESERVE = String(DISK - 12 * MIB)

async function* slowly(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += MIB / 4) {
    yield bytes.subarray(at, at + MIB / 4)
    await sleep(60)
  }
}

test.each(['a URL', 'standard input'])(
  'what comes from %s is not extracted into the reserve of the disk',
  async kind => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, DISK)
    const bytes = readFileSync(backup.full.bare)
    const args = ['--target-dir', join(disk, 'target'), '--disk-reserve', RESERVE]
    const server = await rangeServer(bytes)
    server.fault = index => (index < 2 ? { kind: 'ok' } : { kind: 'slow', bytesPerSecond: 3_000_000 })
    const ended =
      kind === 'a URL'
        ? await at.restore([server.url], { args })
        : await at.restore(['-'], { args, stdin: Readable.from(slowly(bytes)) })
    expectFailure(at, ended, 'disk_space', { kept: ['disk'] })
    expect(ended.stderr).toMatch(
      /less than the reserve of .*; still to come: ([\d.]+ MiB of http|an unknown part of -)/,
    )
    expect(ended.stderr).not.toContain('No space left')
    const { bfree, blocks } = statfsSync(disk)
    expect(bfree).toBe(blocks)
  },
)

test('a reserve of 0 lets the disk be filled', async () => {
  const at = workspace()
  const disk = join(at.dir, 'disk')
  await mountTmpfs(disk, DISK)
  const ended = await at.restore([backup.full.bare], {
    args: ['--target-dir', join(disk, 'target'), '--disk-reserve', '0'],
  })
  expect(ended.code).toBe(0)
})
