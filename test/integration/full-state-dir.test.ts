import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectFailure, expectSuccess, mountTmpfs, type Workspace, workspace } from './workspace.ts'

/** The state dir has a file system of its own, which is or becomes full. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})
const MiB = 1024 * 1024

async function mountStateDir(at: Workspace, bytes: number): Promise<void> {
  await mountTmpfs(at.stateDir, bytes)
  chmodSync(at.stateDir, 0o700)
}

test('full before anything begins: disk_space, and says which place', async () => {
  const at = workspace()
  await mountStateDir(at, MiB)
  const ended = await at.restore([backup.full.zst])
  expectFailure(at, ended, 'disk_space')
  expect(ended.stderr).toContain(`the state dir ${at.stateDir}`)
  expect(ended.stderr).toMatch(/^hint: .*--state-dir/m)
})

/** The real tool, but the state dir is filled when its command line has `word` in it for the first time. */
function fillingTool(at: Workspace, word: string): string {
  const path = join(at.dir, 'mariadb-backup')
  const once = join(at.dir, 'filled')
  const fill = `[ -e ${once} ] || { touch ${once}; cat /dev/zero >${at.stateDir}/fill 2>/dev/null; }`
  writeFileSync(path, `#!/bin/sh\ncase "$*" in *${word}*) ${fill};; esac\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
  return path
}

test.each(['--prepare', '--move-back'])(
  'that %s cannot say how it ended is not the fault of the backup: disk_full, and no older one is taken',
  async word => {
    const at = workspace()
    await mountStateDir(at, 24 * MiB)
    const config = join(at.dir, 'restore.yaml')
    writeFileSync(config, `older_backups:\n  - ${backup.full.prepared}\n`)
    const ended = await at.restore([backup.full.zst], {
      args: ['--config', config, '--state-wait', '1s', '--tool-path', fillingTool(at, word)],
    })
    expect(ended.stderr).toMatch(new RegExp(`^error disk_full: .*${at.stateDir}`, 'm'))
    expect(ended.stderr).not.toContain('older backup')
    // A removal that cannot be recorded is not begun: the next call, with room again, knows what is there.
    rmSync(join(at.stateDir, 'fill'))
    expectSuccess(await at.restore([backup.full.zst], { args: ['--config', config] }))
  },
)
