import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, workspace } from './workspace.ts'

/** Going back to older backups, of which not every one need be of use. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A restore of a backup that was cut, with these to go back to. */
function setUp(...older: ((dir: string) => string)[]) {
  const at = workspace()
  const cut = join(at.dir, 'cut.xb')
  writeFileSync(cut, readFileSync(backup.full.bare).subarray(0, 200_000))
  const config = join(at.dir, 'restore.yaml')
  writeFileSync(config, JSON.stringify({ older_backups: older.map(name => name(at.dir)) }))
  return { at, cut, run: () => at.restore([cut], { args: ['--config', config] }) }
}

const deleted = (dir: string) => join(dir, 'deleted.xb')
const garbage = (dir: string) => {
  const path = join(dir, 'garbage')
  writeFileSync(path, 'no backup at all\n'.repeat(1000))
  return path
}

test('an older one that is not there, or is no backup, gives way to the next', async () => {
  const { at, run } = setUp(deleted, garbage, () => backup.full.zst)
  expectSuccess(await run())
  expect(at.state()).toMatchObject({ backupIndex: 3, error: null })
  expect(at.state()!.notices.join('\n')).toMatch(
    /source_truncated.*\n.*source_missing.*deleted\.xb.*\n.*source_unknown/,
  )
})

test('where all fail, the one that was asked for says why, and the others in the notices', async () => {
  const { at, cut, run } = setUp(deleted, garbage)
  const ended = await run()
  expect(ended, ended.stderr).toMatchObject({ code: 24 })
  expect(ended.stderr).toMatch(/^error source_truncated: /m)
  const { phase, error, notices } = at.state()!
  expect([phase, error!.code]).toEqual(['failed_basebackup', 'source_truncated'])
  expect(error!.message).toContain(cut)
  expect(notices.join('\n')).toMatch(/source_missing.*\n.*source_unknown.*no older backup to go back to/)
})
