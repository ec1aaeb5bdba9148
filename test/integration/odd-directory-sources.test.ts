import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, workspace } from './workspace.ts'

/** Directory backups as people keep them: copied off with odd modes, onto a disk of their own, beside other files. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

function allBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(path => join(folder, path))
}

const isWorldWritable = (path: string) => (statSync(path).mode & 0o002) !== 0

test('a link that leads nowhere, lost+found and a compressed dump beside the files do not matter', async () => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(backup.full.extracted, source, { recursive: true })
  symlinkSync('/nowhere/at/all', join(source, 'app/dangling'))
  mkdirSync(join(source, 'lost+found'), { mode: 0o700 })
  writeFileSync(join(source, 'schema.sql.zst'), execFileSync('zstd', ['-c'], { input: 'create table t (a int);' }))
  expectSuccess(await at.restore([source]))
  expect(readdirSync(at.datadir)).not.toContain('lost+found')
  expect(readdirSync(join(source, 'app'))).toContain('dangling')
})

test('a file that cannot be copied for another reason still fails the copy', async () => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(backup.full.extracted, source, { recursive: true })
  symlinkSync('/nowhere/at/all', join(source, 'dangling'))
  symlinkSync('..', join(source, 'app/round'))
  const ended = await at.restore([source])
  expect(ended.code, ended.stderr).not.toBe(0)
  expect(readdirSync(source)).toContain('ibdata1')
})

test.each([
  ['0444 and 0555', 'a=rX'],
  ['0666 and 0777', 'a=rwX'],
])('files and directories of modes %s: the copy is ours to write and nobody else is', async (_, mode) => {
  const at = workspace()
  const source = join(at.dir, 'source')
  cpSync(backup.full.extracted, source, { recursive: true })
  execFileSync('chmod', ['-R', mode, source])
  expectSuccess(await at.restore([source]))
  expect([at.datadir, ...allBelow(at.datadir)].filter(isWorldWritable)).toEqual([])
  const runDir = join(at.stateDir, at.state()!.restoreId)
  const prepare = readdirSync(runDir).find(name => /prepare.*\.stderr$/.test(name))!
  expect(readFileSync(join(runDir, prepare), 'utf8')).not.toContain('World-writable')
})
