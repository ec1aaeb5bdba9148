import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { expect, test } from 'vitest'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, workspace } from './workspace.ts'

/** What is not the restore's own, in places where it works: it is there afterwards, byte for byte. */

test('files that come into the datadir between our look and the tool’s are not removed', async () => {
  const { full } = await sharedBackup()
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
  const { full } = await sharedBackup()
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
  const { full } = await sharedBackup()
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(full.prepared, source, { recursive: true })
  mkdirSync(join(source, 'xtrabackup_history'))
  writeFileSync(join(source, 'xtrabackup_history/db.opt'), 'default-character-set=utf8mb4\n')
  expectSuccess(await at.restore([source]))
  expect(readdirSync(join(at.datadir, 'xtrabackup_history'))).toEqual(['db.opt'])
})
