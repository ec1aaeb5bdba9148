import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectSuccess, startAgent, workspace } from '../integration/workspace.ts'
import { attack, OTHER, rootsSecret } from './other-user.ts'

/** Another local user attacks a restore that root runs. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A datadir in a folder that belongs to the other user. */
function foreignPlace(dir: string) {
  const parent = join(dir, 'theirs')
  mkdirSync(parent)
  chownSync(parent, OTHER, OTHER)
  return { parent, datadir: join(parent, 'd') }
}

const SWAPS = {
  'the target dir for a link': `
    for (glob "$ENV{PARENT}/d.restore-*") { next if -l; rename $_, "$ENV{PARENT}/aside" . $n++ and symlink $ENV{SECRET}, $_ }`,
  'the datadir for a link': `
    for ("$ENV{PARENT}/d") { next if -l or not -e; rename $_, "$ENV{PARENT}/aside" . $n++ and symlink $ENV{SECRET}, $_ }`,
  'a schema of the datadir for a link': `
    for (glob "$ENV{PARENT}/d*/app") { next if -l; rename $_, "$_.aside" . $n++ and symlink $ENV{SECRET}, $_ }`,
  'files of the datadir for links': `
    for (glob "$ENV{PARENT}/d/*") { next if -l or -d; rename $_, "$_.aside" . $n++ and symlink "$ENV{SECRET}/id_rsa", $_ }`,
}

describe.for(Object.entries(SWAPS))('who owns the folder around the datadir swaps %s', ([, swap]) => {
  test.for([1])('round %i: root’s own files stay root’s, unread and unchanged', async () => {
    const at = workspace()
    const { parent, datadir } = foreignPlace(at.dir)
    const secret = rootsSecret(at.dir)
    const before = secret.look()
    const attacker = attack(`exec perl -e 'while (1) { ${swap} }'`, { PARENT: parent, SECRET: secret.path })
    const args = ['--datadir', datadir, '--state-dir', at.stateDir, '--owner', `${OTHER}:${OTHER}`]
    await startAgent(['restore', backup.full.zst, ...args]).ended
    await attacker.stop()
    expect(secret.look()).toEqual(before)
  })
})

test('tools inherit none of our secrets', async () => {
  const at = workspace()
  const tool = join(at.dir, 'mariadb-backup')
  writeFileSync(tool, `#!/bin/sh\nenv >> ${at.dir}/env\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
  const env = { MYSQL_PWD: 'hunter2', AWS_SECRET_ACCESS_KEY: 'hunter2', LD_PRELOAD_X: 'hunter2', SOME_TOKEN: 'hunter2' }
  expectSuccess(await at.restore([backup.full.bare], { args: ['--tool-path', tool], env }))
  expect(readFileSync(join(at.dir, 'env'), 'utf8')).not.toContain('hunter2')
})
