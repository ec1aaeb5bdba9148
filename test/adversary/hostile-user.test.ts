import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectSuccess, processesAt, startAgent, workspace } from '../integration/workspace.ts'
import { until } from '../support/until.ts'
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

test('links that somebody planted in the state dir are not followed', async () => {
  for (const name of ['state.json.tmp', 'state.json', 'lock', 'agent.lock']) {
    const at = workspace()
    const secret = rootsSecret(at.dir)
    const before = secret.look()
    mkdirSync(at.stateDir)
    symlinkSync(join(secret.path, name === 'lock' ? 'new-file' : 'id_rsa'), join(at.stateDir, name))
    chownSync(at.stateDir, OTHER, OTHER)
    const ended = await at.restore([backup.full.bare])
    expect(secret.look(), name).toEqual(before)
    expect(ended.code, `${name}: ${ended.stderr}`).not.toBe(0)
    expect(ended.stderr).toMatch(/^error \w+: /m)
    expect(ended.stderr).not.toMatch(/error internal/)
  }
})

test('a state dir that others may write to is refused', async () => {
  const at = workspace()
  mkdirSync(at.stateDir)
  chmodSync(at.stateDir, 0o777)
  const ended = await at.restore([backup.full.bare])
  expect(ended.code, ended.stderr).not.toBe(0)
  expect(existsSync(at.datadir)).toBe(false)
})

test('nobody else gets into the server of a start check, and it does not run as root', async () => {
  const at = workspace()
  mkdirSync(at.datadir, { mode: 0o755 })
  chownSync(at.datadir, 65534, 65534)
  const attacker = attack(
    `while :; do
      for socket in $(awk '$8 ~ /^\\// { print $8 }' /proc/net/unix | grep -F "$PLACE"; find "$PLACE" /tmp -maxdepth 3 -type s 2>/dev/null); do
        mariadb --no-defaults -uroot --connect-timeout=1 -S "$socket" -e 'select "inside"' 2>/dev/null && echo "by $socket"
      done
      sleep 0.02
    done`,
    { PLACE: at.dir },
  )
  const agent = at.start([backup.full.zst], { args: ['--start-check', '--owner', 'nobody:nogroup'] })
  const server = await until(() => processesAt(at.dir).find(({ command }) => /^\S*mariadbd /.test(command)))
  const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]
  expectSuccess(await agent.ended)
  expect(await attacker.stop()).toBe('')
  expect(uid).not.toBe('0')
})

test('a start check that would run as root is refused before the work', async () => {
  const at = workspace()
  const ended = await at.restore([backup.full.zst], { args: ['--start-check'] })
  expect(ended.code, ended.stderr).toBe(2)
  expect(ended.stderr).toMatch(/^hint: .*--owner/m)
  expect(existsSync(at.datadir)).toBe(false)
})

test('tools inherit none of our secrets', async () => {
  const at = workspace()
  const tool = join(at.dir, 'mariadb-backup')
  writeFileSync(tool, `#!/bin/sh\nenv >> ${at.dir}/env\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
  const env = { MYSQL_PWD: 'hunter2', AWS_SECRET_ACCESS_KEY: 'hunter2', LD_PRELOAD_X: 'hunter2', SOME_TOKEN: 'hunter2' }
  expectSuccess(await at.restore([backup.full.bare], { args: ['--tool-path', tool], env }))
  expect(readFileSync(join(at.dir, 'env'), 'utf8')).not.toContain('hunter2')
})
