import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { ext4Disk } from '../support/ext4-disk.ts'
import { until } from '../support/until.ts'
import type { Backup } from './make-backup.ts'
import { checksums, startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, processesAt, type Workspace, workspace } from './workspace.ts'

/**
 * The power fails while files are in the page cache only. The datadir is on an ext4 file system in an image; the image
 * as it is at that moment is what the machine finds after the reboot.
 */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

async function diskAt(path: string) {
  const disk = await ext4Disk(path, 700)
  return {
    async losePower(at: Workspace) {
      for (const { pid } of processesAt(at.dir)) process.kill(pid, 'SIGKILL')
      await until(() => processesAt(at.dir).length === 0)
      await disk.losePower()
      const state = JSON.parse(readFileSync(join(at.stateDir, 'state.json'), 'utf8'))
      writeFileSync(join(at.stateDir, 'state.json'), JSON.stringify({ ...state, bootId: 'the boot before' }))
    },
  }
}

/** A program of that name that runs the real one, and at the given moment waits until the power is cut. */
function waiting(
  at: Workspace,
  name: string,
  real: string,
  { when, before }: { when: string; before: boolean },
): string {
  const wait = `case "$*" in ${when}) [ -e ${at.dir}/reached ] || { touch ${at.dir}/reached; exec sleep 120; };; esac`
  const path = join(at.dir, 'bin', name)
  mkdirSync(join(at.dir, 'bin'), { recursive: true })
  const lines = before ? [wait, `exec ${real} "$@"`] : [`${real} "$@" || exit`, wait]
  writeFileSync(path, `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 })
  return path
}

async function restoreThroughPowerCut(at: Workspace, args: readonly string[]): Promise<void> {
  const disk = await diskAt(join(at.dir, 'disk'))
  const datadir = join(at.dir, 'disk/data')
  const options = {
    args: ['--datadir', datadir, ...args],
    env: { PATH: `${join(at.dir, 'bin')}:${process.env.PATH}` },
  }
  const agent = at.start([backup.full.zst], options)
  await until(() => existsSync(join(at.dir, 'reached')), 'the moment of the power cut', 60_000)
  await disk.losePower(at)
  await agent.ended
  expectSuccess(await at.restore([backup.full.zst], options))
  const server = await startServer(datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
}

const tool = (at: Workspace, when: string, before: boolean) => [
  '--tool-path',
  waiting(at, 'mariadb-backup', '/usr/bin/mariadb-backup', { when, before }),
]

test('after the extract: nothing of it is believed', async () => {
  const at = workspace()
  await restoreThroughPowerCut(at, tool(at, '*--prepare*', true))
}, 120_000)

test('after move-back, while the datadir is not synced yet', async () => {
  const at = workspace()
  await restoreThroughPowerCut(at, tool(at, '*--move-back*', false))
}, 120_000)

test('after move-back from another file system, which copies', async () => {
  const at = workspace()
  await restoreThroughPowerCut(at, [...tool(at, '*--move-back*', false), '--target-dir', join(at.dir, 'target')])
}, 120_000)
