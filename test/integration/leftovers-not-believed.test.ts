import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, stoppedTool, stoppingTool, type Workspace, workspace } from './workspace.ts'

/** What an earlier try has left, or an earlier backup, and the next one must not take for something else. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

test('a backup that fails the start check makes room for an older one', async () => {
  const at = workspace()
  const broken = join(at.dir, 'broken')
  cpSync(backup.full.prepared, broken, { recursive: true })
  rmSync(join(broken, 'mysql'), { recursive: true })
  const config = join(at.dir, 'restore.yaml')
  writeFileSync(config, `older_backups:\n  - ${backup.full.prepared}\n`)
  const ended = await at.restore([broken], { args: ['--start-check', '--owner', 'nobody:nogroup', '--config', config] })
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  expect(ended.stderr).toMatch(/start_check_failed.*older backup/)
  expect(readdirSync(join(at.datadir, 'mysql'))).toContain('db.frm')
})

test('without an older one it stays where it is: complete, to be looked at', async () => {
  const at = workspace()
  const broken = join(at.dir, 'broken')
  cpSync(backup.full.prepared, broken, { recursive: true })
  rmSync(join(broken, 'mysql'), { recursive: true })
  expect(await at.restore([broken], { args: ['--start-check', '--owner', 'nobody:nogroup'] })).toMatchObject({
    code: 57,
  })
  expect(readdirSync(at.datadir)).toContain('ibdata1')
})

test('a start check that fails for want of rights gives no backup up: server_failed, and the datadir stays', async () => {
  const at = workspace()
  const config = join(at.dir, 'restore.yaml')
  writeFileSync(config, `older_backups:\n  - ${backup.full.prepared}\n`)
  const closed = join(at.dir, 'closed')
  mkdirSync(closed, { mode: 0o700 }) // its owner cannot get in there
  const datadir = join(closed, 'data')
  const args = ['--datadir', datadir, '--owner', 'nobody:nogroup', '--start-check', '--config', config]
  const ended = await at.restore([backup.full.zst], { args })
  expect(ended, ended.stderr).toMatchObject({ code: 58 })
  expect(ended.stderr).toMatch(/^error server_failed: .*Permission denied/m)
  expect(ended.stderr).not.toContain('older backup')
  expect(readdirSync(datadir)).toContain('ibdata1')
})

test('folders that are made for the datadir let its owner in, whatever the umask', async () => {
  const at = workspace()
  const datadir = join(at.dir, 'a/b/data')
  const umask = process.umask(0o077)
  const args = ['--datadir', datadir, '--owner', 'nobody:nogroup', '--start-check']
  const agent = at.start([backup.full.zst], { args })
  process.umask(umask)
  expectSuccess(await agent.ended)
})

async function interrupted(at: Workspace, source: string): Promise<void> {
  const agent = at.start([source], { args: ['--tool-path', stoppingTool(at, '--move-back')] })
  const tool = await stoppedTool(at)
  agent.child.kill('SIGKILL')
  await agent.ended
  process.kill(tool, 'SIGKILL')
}

test('an interrupted restore does not go on with a source that is another one now, however old it says to be', async () => {
  const at = workspace()
  const source = join(at.dir, 'latest.zst')
  cpSync(backup.full.zst, source)
  utimesSync(source, 1, 1)
  await interrupted(at, source)
  cpSync(backup.full.zst, `${source}.new`)
  utimesSync(`${source}.new`, 1, 1)
  renameSync(`${source}.new`, source)
  const ended = await at.restore([source])
  expect(ended).toMatchObject({ code: 17 })
  expect(ended.stderr).toMatch(/latest\.zst was changed after .* its inode differs/)
})

test('it does with one that did not change, though its modification time is ahead of our clock', async () => {
  const at = workspace()
  const source = join(at.dir, 'latest.zst')
  cpSync(backup.full.zst, source)
  utimesSync(source, new Date('2099-01-01'), new Date('2099-01-01'))
  await interrupted(at, source)
  writeFileSync(join(at.dir, 'mariadb-backup'), '#!/bin/sh\nexec mariadb-backup "$@"\n', { mode: 0o755 })
  expectSuccess(await at.restore([source]))
})

test('of options that an interrupted restore was not begun with it takes what it can, and tells both', async () => {
  const at = workspace()
  await interrupted(at, backup.full.zst)
  writeFileSync(join(at.dir, 'mariadb-backup'), '#!/bin/sh\nexec mariadb-backup "$@"\n', { mode: 0o755 })
  const ended = await at.restore([backup.full.zst], { args: ['--start-check', '--owner', 'nobody:nogroup'] })
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  expect(ended.stderr).toMatch(/resumes, now with .*start_check on \(was off\)/)
  expect(ended.stderr).toMatch(
    /with the values that it began with: tool_paths \S+mariadb-backup \(not none\); for a fresh start .* cancel/,
  )
  expect(readdirSync(join(at.stateDir, at.state()!.restoreId)).join(' ')).toContain('start_check')
})

test('an option that is wrong costs an interrupted restore nothing', async () => {
  const at = workspace()
  await interrupted(at, backup.full.zst)
  writeFileSync(join(at.dir, 'mariadb-backup'), '#!/bin/sh\nexec mariadb-backup "$@"\n', { mode: 0o755 })
  const before = at.state()
  expect(await at.restore([backup.full.zst], { args: ['--owner', 'no-such-user:root'] })).toMatchObject({ code: 56 })
  expect(at.state()).toEqual(before)
  expectSuccess(await at.restore([backup.full.zst], { args: ['--tool-path', join(at.dir, 'mariadb-backup')] }))
})

test('files that the redo log changes and the backup lacks are told', async () => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(backup.full.extracted, source, { recursive: true })
  rmSync(join(source, 'app/t1.ibd'))
  const ended = await at.restore([source])
  expect(ended.stderr).toMatch(
    /lacks files that its redo log changes: Tablespace \d+ was not found at \.\/app\/t1\.ibd/,
  )
})

test('a whole backup lacks none', async () => {
  expectSuccess(await workspace().restore([backup.full.zst]))
})
