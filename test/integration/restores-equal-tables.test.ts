import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Backup, STREAM_FORMS } from './make-backup.ts'
import { checksums, startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSmallStateDir, expectSuccess, mountTmpfs, processesAt, type Workspace, workspace } from './workspace.ts'

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A server starts on the datadir and its tables are those of the source; nothing else is left. */
async function expectRestored(at: Workspace, truth: readonly string[] = backup.checksums.full): Promise<void> {
  expect(processesAt(at.dir)).toEqual([])
  expect(readdirSync(at.dir).filter(name => /restore-|inc\d/.test(name))).toEqual([])
  expectSmallStateDir(at)
  const names = readdirSync(at.datadir)
  expect(names.filter(name => /^(xtrabackup|mariadb_backup)_|^backup-my\.cnf$|^auto\.cnf$/.test(name))).toEqual([])
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(truth)
    expect(await server.sql('select count(*), max(word) from app.old')).toEqual(['100\tword 99'])
  } finally {
    await server.stop()
  }
}

const keyOf = (form: string) => (form === 'gpg' || form === 'openssl' ? ['--decrypt-key-file', backup.keyFile] : [])

describe('a backup taken under load restores to equal checksums', () => {
  test.each(STREAM_FORMS)('from a %s stream', async form => {
    const at = workspace()
    const ended = await at.restore([backup.full[form]], { args: keyOf(form) })
    expectSuccess(ended)
    expect(ended.stderr).toContain(backup.binlogPosition.split(' ')[1])
    await expectRestored(at)
  })

  test('from standard input that is a redirected file', async () => {
    const at = workspace()
    expectSuccess(await at.restore(['-'], { stdinFile: backup.full.zst }))
    expect(at.state()).toMatchObject({ status: 'succeeded', plan: { elements: [{ source: { kind: 'stdin' } }] } })
    await expectRestored(at)
  })

  test.each(['bare', 'zst', 'gpg'] as const)('from a pipe with a %s stream', async form => {
    const at = workspace()
    expectSuccess(await at.restore(['-'], { stdin: createReadStream(backup.full[form]), args: keyOf(form) }))
    await expectRestored(at)
  })

  test('from an extracted directory, which stays as it is', async () => {
    const at = workspace()
    const before = await fingerprint(backup.full.extracted)
    expectSuccess(await at.restore([backup.full.extracted]))
    expect(await fingerprint(backup.full.extracted)).toBe(before)
    await expectRestored(at)
  })

  test('from a prepared directory, without another prepare', async () => {
    const at = workspace()
    expectSuccess(await at.restore([backup.full.prepared]))
    expect(at.state()!.plan!.steps.map(step => step.kind)).toEqual(['copy', 'move_back', 'verify'])
    await expectRestored(at)
  })

  test.each(['extracted', 'prepared'] as const)('from a directory, %s, that is consumed in place', async form => {
    const at = workspace()
    const source = join(at.dir, 'source')
    await execa('cp', ['-a', backup.full[form], source])
    expectSuccess(await at.restore([source], { args: ['--in-place'] }))
    // Empty folders and the metadata are left there; the folder itself was not ours to remove.
    const left = readdirSync(source, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    expect(
      left.filter(({ name }) => !/^(xtrabackup_|backup-my\.cnf|binlog\.)/.test(name)).map(({ name }) => name),
    ).toEqual([])
    await expectRestored(at)
  })

  test('from a chain of a full and an incremental', async () => {
    const at = workspace()
    expectSuccess(await at.restore([backup.full.zst, backup.incremental]))
    await expectRestored(at, backup.checksums.incremental)
  })
})

test('into a datadir that exists and is empty, owned as asked, after a server was started on it', async () => {
  const at = workspace()
  mkdirSync(at.datadir, { mode: 0o700 })
  expectSuccess(await at.restore([backup.full.zst], { args: ['--owner', 'nobody:nogroup', '--start-check'] }))
  const { stdout: foreign } = await execa('find', [at.datadir, '!', '-user', 'nobody', '-o', '!', '-group', 'nogroup'])
  expect(foreign).toBe('')
  expect(statSync(at.datadir).uid).not.toBe(0)
  expect(
    at
      .state()!
      .plan!.steps.map(step => step.kind)
      .slice(-3),
  ).toEqual(['verify', 'ownership', 'start_check'])
  await execa('chown', ['-R', 'root:root', at.datadir])
  await expectRestored(at)
})

test('with the target dir on another file system, where move-back copies', async () => {
  const at = workspace()
  const other = join(at.dir, 'other')
  await mountTmpfs(other, 400 * 1024 * 1024)
  expectSuccess(await at.restore([backup.full.zst], { args: ['--target-dir', join(other, 'target')] }))
  expect(readdirSync(other)).toEqual([])
  expect(at.state()!.plan!.moveBack!.copyBytes).toBeGreaterThan(50_000_000)
  await expectRestored(at)
})

test('with a datadir that is a mount point, which is told before anything is extracted', async () => {
  const at = workspace()
  await mountTmpfs(at.datadir, 400 * 1024 * 1024)
  const ended = await at.restore([backup.full.zst])
  expectSuccess(ended)
  expect(ended.stderr).toMatch(
    /note: the target dir .* is not on the file system .* below the mount point.*restoring_basebackup/s,
  )
  await expectRestored(at)
})

test('what the backup knew of itself is kept in the run dir', async () => {
  const at = workspace()
  expectSuccess(await at.restore([backup.full.zst], { args: ['--quiet'] }))
  const kept = join(at.stateDir, at.state()!.restoreId, 'backup', '1')
  expect(readdirSync(kept)).toEqual(
    expect.arrayContaining(['xtrabackup_checkpoints', 'xtrabackup_info', 'backup-my.cnf']),
  )
  expect(readFileSync(join(kept, 'xtrabackup_binlog_info'), 'utf8')).toContain(backup.binlogPosition.split(' ')[1])
})

test('a dry run prints the commands and changes nothing', async () => {
  const at = workspace()
  const ended = await at.restore([backup.full.zst], { args: ['--dry-run'] })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  expect(ended.stdout).toMatch(/zstd -dc --long=31 \| \S*mbstream -x/)
  expect(ended.stdout).toMatch(/mariadb-backup --prepare/)
  expect(ended.stdout).toMatch(/--move-back/)
  expect(readdirSync(at.dir)).toEqual([])
})

test('with --json every line on stdout is an object, and a failure is one too', async () => {
  const at = workspace()
  const ended = await at.restore([backup.full.zst], { args: ['--json'] })
  expect(ended.code).toBe(0)
  const objects = ended.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(objects.length).toBeGreaterThan(3)
  const again = await at.restore([backup.full.zst], { args: ['--json'] })
  expect(again.code).toBe(10)
  expect(JSON.parse(again.stdout.trim().split('\n').at(-1)!)).toMatchObject({
    type: 'error',
    error: { code: 'datadir_not_empty', exit_code: 10, hint: expect.stringMatching(/\S/) },
  })
  expect(existsSync(at.datadir)).toBe(true)
})

/** Names, sizes and times of all files. */
async function fingerprint(directory: string): Promise<string> {
  const { stdout } = await execa('find', ['.', '-printf', '%p %s %T@\n'], { cwd: directory })
  return stdout.split('\n').sort().join('\n')
}
