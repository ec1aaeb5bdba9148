import {
  createReadStream,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { finishedIn } from '../support/runs.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectFailure, expectSmallStateDir, mountTmpfs, type Workspace, workspace } from './workspace.ts'

/** Full disks, and backups that only fail once they are extracted. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const KEPT = { kept: ['disk', 'source'] }

describe('a full disk', () => {
  /** What lies under the extracted backup, rounded up to pages as a tmpfs counts. */
  const extractedBytes = () =>
    readdirSync(backup.full.extracted, { recursive: true, withFileTypes: true })
      .map(entry => statSync(join(entry.parentPath, entry.name)))
      .reduce((sum, entry) => sum + 4096 + (entry.isFile() ? Math.ceil(entry.size / 4096) * 4096 : 0), 0)

  test('known beforehand: disk_space, before anything is written', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 40 * 1024 * 1024)
    const ended = await at.restore([backup.full.bare], { args: ['--target-dir', join(disk, 'target')] })
    expectFailure(at, ended, 'disk_space', KEPT)
    expect(readdirSync(disk)).toEqual([])
  })

  test('known beforehand of a packed stream, which is larger than the whole place: disk_space', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 1024 * 1024)
    const ended = await at.restore([backup.full.gpg], {
      args: ['--target-dir', join(disk, 'target'), '--decrypt-key-file', backup.keyFile],
    })
    expectFailure(at, ended, 'disk_space', KEPT)
    expect(ended.stderr).toContain('at least')
  })

  test('known beforehand of what links in a directory lead to: disk_space', async () => {
    const at = workspace()
    const [source, other, disk] = [join(at.dir, 'source'), join(at.dir, 'other'), join(at.dir, 'disk')]
    await execa('cp', ['-a', backup.full.prepared, source])
    renameSync(join(source, 'app'), other)
    symlinkSync(other, join(source, 'app'))
    const { stdout } = await execa('du', ['-sm', source])
    const withoutLinks = Number.parseInt(stdout, 10)
    await mountTmpfs(disk, (withoutLinks + 10) * 1024 * 1024)
    const ended = await at.restore([source], { args: ['--target-dir', join(disk, 'target')] })
    expectFailure(at, ended, 'disk_space', { kept: ['disk', 'source', 'other'] })
    expect(readdirSync(disk)).toEqual([])
  })

  test.each(['bare', 'zst', 'gpg'] as const)('in extract, from a pipe with a %s stream: disk_full', async form => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 40 * 1024 * 1024)
    const ended = await at.restore(['-'], {
      stdin: createReadStream(backup.full[form]),
      args: ['--target-dir', join(disk, 'target'), ...(form === 'gpg' ? ['--decrypt-key-file', backup.keyFile] : [])],
    })
    expectFailure(at, ended, 'disk_full', KEPT)
    expect(ended.stderr).toContain(`(target dir ${join(disk, 'target')}: `)
    expectClean(at, disk)
    expect(at.state()).toMatchObject({ phase: 'failed', status: 'failed' })
  })

  test('while a directory is copied: disk_full', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    // There are bytes enough, which is all that can be looked at before, but no room for so many files.
    await mountTmpfs(disk, 400 * 1024 * 1024, 60)
    const ended = await at.restore([backup.full.extracted], { args: ['--target-dir', join(disk, 'target')] })
    expectFailure(at, ended, 'disk_full', KEPT)
    expectClean(at, disk)
  })

  test('in prepare: disk_full', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, extractedBytes() + 64 * 1024)
    const ended = await at.restore(['-'], {
      stdin: createReadStream(backup.full.bare),
      args: ['--target-dir', join(disk, 'target')],
    })
    expectFailure(at, ended, 'disk_full', KEPT)
    expectClean(at, disk)
    expect(at.state()).toMatchObject({ phase: 'failed' })
    expect(readdirSync(join(at.stateDir, at.state()!.restoreId))).toContain('1-prepare-1-mariadb-backup.stderr')
  })

  test('in move-back: disk_full, and the datadir is as it was', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 40 * 1024 * 1024)
    const ended = await at.restore(['-'], {
      stdin: createReadStream(backup.full.bare),
      args: ['--datadir', join(disk, 'data'), '--target-dir', join(at.dir, 'target')],
    })
    expectFailure(at, ended, 'disk_full', KEPT)
    expectClean(at, disk)
  })

  test('in move-back of a directory in place: disk_full, and the directory has all its files again', async () => {
    const at = workspace()
    const [source, disk] = [join(at.dir, 'source'), join(at.dir, 'disk')]
    await execa('cp', ['-a', backup.full.prepared, source])
    await mountTmpfs(disk, 400 * 1024 * 1024, 60)
    const before = await contents(source)
    const ended = await at.restore([source], { args: ['--in-place', '--datadir', join(disk, 'data')] })
    expectFailure(at, ended, 'disk_full', KEPT)
    expectClean(at, disk)
    expect(await contents(source)).toBe(before)
  })

  const contents = async (directory: string) => {
    const { stdout } = await execa('sh', ['-c', 'find . -type f | LC_ALL=C sort | xargs md5sum'], { cwd: directory })
    return stdout
  }

  function expectClean(at: Workspace, disk: string) {
    expect(readdirSync(disk)).toEqual([])
    expectSmallStateDir(at)
  }
})

describe('an extracted directory', () => {
  /** A copy that the test may spoil. */
  async function spoiled(at: Workspace, spoil: (source: string) => void, form: 'extracted' | 'prepared' = 'extracted') {
    const source = join(at.dir, 'source')
    await execa('cp', ['-a', backup.full[form], source])
    spoil(source)
    return source
  }

  // A short cut lets the tool exit 0; of a long one it says that a page is from the future.
  test.each([40, 400_000, 3_000_000])('with %d bytes of its redo cut off: redo_incomplete', async bytes => {
    const at = workspace()
    const source = await spoiled(at, folder => {
      const redo = join(folder, 'ib_logfile0')
      truncateSync(redo, statSync(redo).size - bytes)
    })
    const ended = await at.restore([source])
    expectFailure(at, ended, 'redo_incomplete', KEPT)
    expect(ended.stderr).toMatch(/ends at LSN \d+, the backup at LSN \d+/)
    expect(at.state()).toMatchObject({ phase: 'failed_basebackup' })
    // Not for an instant did the prepare stand as finished: an agent that comes after would have believed it.
    expect(finishedIn(at.state()!)).not.toContain('1-prepare')
  })

  test('with the names of 11.x: tool_version', async () => {
    const at = workspace()
    const source = await spoiled(at, folder => {
      for (const name of readdirSync(folder).filter(name => name.startsWith('xtrabackup_')))
        renameSync(join(folder, name), join(folder, name.replace('xtrabackup_', 'mariadb_backup_')))
    })
    expectFailure(at, await at.restore([source]), 'tool_version', KEPT)
  })

  test('that says a newer server made it: tool_version', async () => {
    const at = workspace()
    const source = await spoiled(at, folder => {
      const info = join(folder, 'xtrabackup_info')
      writeFileSync(info, readFileSync(info, 'utf8').replaceAll(/10\.11\.\d+/g, '11.4.2'))
    })
    expectFailure(at, await at.restore([source]), 'tool_version', KEPT)
  })

  test.each([
    ['xtrabackup_checkpoints', 'backup_incomplete'],
    ['ib_logfile0', 'backup_incomplete'],
    ['backup-my.cnf', 'backup_incomplete'],
    ['xtrabackup_info', 'backup_incomplete'],
  ] as const)('without %s: %s', async (name, code) => {
    const at = workspace()
    const source = await spoiled(at, folder => rmSync(join(folder, name)))
    expectFailure(at, await at.restore([source]), code, KEPT)
  })

  test('that only says it is prepared: nothing unprepared is moved into the datadir', async () => {
    const at = workspace()
    const source = await spoiled(at, folder => {
      const checkpoints = join(folder, 'xtrabackup_checkpoints')
      writeFileSync(checkpoints, readFileSync(checkpoints, 'utf8').replace('full-backuped', 'full-backuped-not'))
    })
    const ended = await at.restore([source])
    expect(ended.code).not.toBe(0)
    expect(readdirSync(at.dir).filter(name => name.startsWith('data'))).toEqual([])
  })

  test('prepared, but without ibdata1: no success', async () => {
    const at = workspace()
    const source = await spoiled(at, folder => rmSync(join(folder, 'ibdata1')), 'prepared')
    const ended = await at.restore([source])
    expect(ended.code).not.toBe(0)
    expect(ended.stderr).toMatch(/^hint: /m)
    expect(readdirSync(at.dir).filter(name => name.startsWith('data'))).toEqual([])
  })
})
