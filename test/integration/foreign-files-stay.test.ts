import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { beforeAll, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, type Workspace, workspace } from './workspace.ts'

let full: Backup['full']
beforeAll(async () => {
  full = (await sharedBackup()).full
})

/** A tool for `--tool-path` that does something after a move-back that went well. */
function toolThatThen(at: Workspace, script: string): string {
  const tool = join(at.dir, 'mariadb-backup')
  const then = `mariadb-backup "$@" || exit; case "$*" in *--move-back*) ${script};; esac`
  writeFileSync(tool, `#!/bin/sh\n${then}\n`, { mode: 0o755 })
  return tool
}

/** What is not the restore's own, in places where it works: it is there afterwards, byte for byte. */

test('files that come into the datadir between our look and the tool’s are not removed', async () => {
  const at = workspace()
  mkdirSync(at.datadir)
  const tool = join(at.dir, 'mariadb-backup')
  const intrude = `case "$*" in *--move-back*) echo mine > ${at.datadir}/mine;; esac`
  writeFileSync(tool, `#!/bin/sh\n${intrude}\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
  const ended = await at.restore([full.prepared], { args: ['--tool-path', tool] })
  expect(ended).toMatchObject({ code: 10 })
  expect(readdirSync(at.datadir)).toEqual(['mine'])
  expect(readdirSync(at.dir).filter(name => name.includes('.restore-'))).toEqual([])
})

test('a database directory behind a link in the source is copied, and left as it is', async () => {
  const at = workspace()
  const [source, other] = [join(at.dir, 'source'), join(at.dir, 'other-disk')]
  cpSync(full.extracted, source, { recursive: true })
  renameSync(join(source, 'app'), other)
  symlinkSync(other, join(source, 'app'))
  const sums = () => execaSync('sh', ['-c', 'md5sum *'], { cwd: other }).stdout
  const before = sums()
  expectSuccess(await at.restore([source]))
  expect(sums()).toBe(before)
  expect(existsSync(join(at.datadir, 'app/t1.ibd'))).toBe(true)
})

test('a database whose name looks like the tool’s own files is restored', async () => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(full.prepared, source, { recursive: true })
  mkdirSync(join(source, 'xtrabackup_history'))
  writeFileSync(join(source, 'xtrabackup_history/db.opt'), 'default-character-set=utf8mb4\n')
  expectSuccess(await at.restore([source]))
  expect(readdirSync(join(at.datadir, 'xtrabackup_history'))).toEqual(['db.opt'])
})

test.each([[[]], [['--in-place']]])('what a move-back leaves behind is kept, and is no success %s', async args => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(full.prepared, source, { recursive: true })
  const target = args.length > 0 ? source : join(at.dir, 'target')
  const tool = toolThatThen(at, `mv ${at.datadir}/app/t1.ibd ${target}/app/`)
  const place = args.length > 0 ? args : ['--target-dir', target]
  const ended = await at.restore([source], { args: ['--tool-path', tool, ...place] })
  expect(ended).toMatchObject({ code: 54 })
  expect(ended.stderr).toMatch(/^error move_back_failed: move-back has left files in .*: app\/t1\.ibd$/m)
  expect(existsSync(join(target, 'app/t1.ibd'))).toBe(true)
  expect(existsSync(join(at.datadir, 'app/t2.ibd'))).toBe(true)
})

test('a server that somebody has started in the datadir meanwhile is left alone', async () => {
  const at = workspace()
  // As a server does, it has a file of the datadir open for writing.
  const tool = toolThatThen(at, `tail -f ${at.dir}/mariadb-backup 9<>${at.datadir}/ibdata1 >/dev/null 2>&1 &`)
  const ended = await at.restore([full.prepared], { args: ['--tool-path', tool] })
  expect(ended).toMatchObject({ code: 11 })
  expect(ended.stderr).toMatch(/^error server_running: process \d+ \(tail\) works in .* already$/m)
  expect(existsSync(join(at.stateDir, at.state()!.restoreId, 'remnants'))).toBe(false)
  expect(existsSync(join(at.datadir, 'app/t1.ibd'))).toBe(true)
})
