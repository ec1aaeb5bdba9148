import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { installServer } from '../../scripts/sample/server.ts'
import { until } from '../support/until.ts'
import type { Backup } from './make-backup.ts'
import { startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectFailure, expectSuccess, processAt, startAgent, type Workspace, workspace } from './workspace.ts'

/** What is refused before anything is written. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** An unprivileged user that every Debian has. */
const NOBODY = 65534

describe('the datadir', () => {
  test('holds a file: datadir_not_empty', async () => {
    const at = workspace()
    mkdirSync(at.datadir)
    writeFileSync(join(at.datadir, 'ibdata1'), 'mine')
    const ended = await at.restore([backup.full.zst])
    expectFailure(at, ended, 'datadir_not_empty', { datadirBefore: ['ibdata1'] })
    expect(ended.stderr).toContain('it holds ibdata1')
  })

  test('is a file: datadir_not_empty', async () => {
    const at = workspace()
    writeFileSync(join(at.dir, 'file'), 'mine')
    const ended = await startAgent([
      'restore',
      backup.full.zst,
      '--datadir',
      join(at.dir, 'file'),
      '--state-dir',
      at.stateDir,
    ]).ended
    expectFailure(at, ended, 'datadir_not_empty', { kept: ['file'] })
  })

  test('is used by a running server: server_running', async () => {
    const at = workspace()
    await installServer(at.datadir)
    const server = await startServer(at.datadir)
    try {
      const ended = await at.restore([backup.full.zst])
      expect(ended.code).toBe(11)
      expect(ended.stderr).toMatch(new RegExp(`^error server_running: process ${server.pid} `, 'm'))
      expect(await server.sql('select 1')).toEqual(['1'])
    } finally {
      await server.stop()
    }
  })

  test('may not be made by this user: not_permitted', async () => {
    const at = workspace()
    mkdirSync(at.stateDir)
    await execa('chown', [String(NOBODY), at.stateDir])
    chmodSync(at.dir, 0o755)
    const ended = await startAgent(['restore', '-', '--datadir', at.datadir, '--state-dir', at.stateDir], {
      uid: NOBODY,
      stdinFile: backup.full.zst,
    }).ended
    expectFailure(at, ended, 'not_permitted')
  })
})

describe('a place below what is no directory: usage', () => {
  test.each(['--datadir', '--target-dir'])('%s', async flag => {
    const at = workspace()
    const args = flag === '--datadir' ? [flag, '/dev/full/x'] : ['--datadir', at.datadir, flag, '/dev/full/x']
    const ended = await startAgent(['restore', backup.full.zst, '--state-dir', at.stateDir, ...args]).ended
    expectFailure(at, ended, 'usage')
    expect(ended.stderr).toContain('/dev/full is not a directory')
  })
})

test('an owner to whom this user cannot give files: ownership_failed, before anything is made', async () => {
  const at = workspace()
  mkdirSync(at.stateDir)
  await execa('chown', ['-R', String(NOBODY), at.dir])
  for (const [owner, code] of [
    ['root:root', 56],
    [`${NOBODY}:0`, 56],
    [`${NOBODY}:${NOBODY}`, 0],
  ] as const) {
    const args = ['restore', '-', '--dry-run', '--datadir', at.datadir, '--state-dir', at.stateDir, '--owner', owner]
    const ended = await startAgent(args, { uid: NOBODY, stdinFile: backup.full.bare }).ended
    expect(ended.code, `${owner}: ${ended.stderr}`).toBe(code)
  }
})

test('a datadir where this user may not look: not_permitted', async () => {
  const at = workspace()
  const closed = join(at.dir, 'closed')
  for (const made of [at.stateDir, closed]) mkdirSync(made, { mode: 0o700 })
  await execa('chown', [String(NOBODY), at.stateDir])
  for (const datadir of [closed, join(closed, 'data')]) {
    const args = ['restore', '-', '--datadir', datadir, '--state-dir', at.stateDir]
    const ended = await startAgent(args, { uid: NOBODY, stdinFile: backup.full.zst }).ended
    expectFailure(at, ended, 'not_permitted', { kept: ['closed'] })
  }
})

test('a backup that says it is larger than the disk (uncompressed_backup_size): disk_space', async () => {
  const at = workspace()
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', backup.full.extracted, source])
  appendFileSync(join(source, 'xtrabackup_info'), `uncompressed_backup_size = ${2 ** 50}\n`)
  const ended = await at.restore([source])
  expectFailure(at, ended, 'disk_space', { kept: ['source'] })
  expect(ended.stderr).toContain('1.0 PiB')
})

describe('the key file of encrypted tables', () => {
  const restoreWith = (at: Workspace, file: string) =>
    at.restore([backup.full.zst], { args: ['--owner', `${NOBODY}:${NOBODY}`, '--encryption-key-file', file] })

  test('is not there: key_missing', async () => {
    const at = workspace()
    expectFailure(at, await restoreWith(at, join(at.dir, 'no-keys')), 'key_missing')
  })

  test('may not be read by the owner, as whom prepare runs: not_permitted', async () => {
    const at = workspace()
    chmodSync(at.dir, 0o755)
    writeFileSync(join(at.dir, 'keys'), '1;00', { mode: 0o600 })
    const ended = await restoreWith(at, join(at.dir, 'keys'))
    expectFailure(at, ended, 'not_permitted', { kept: ['keys'] })
    expect(ended.stderr).toMatch(/^hint: .*--run-tools-as agent/m)
  })
})

test('an option of xtrabackup with a backup of mariadb-backup: usage', async () => {
  const at = workspace()
  const ended = await at.restore([backup.full.zst], { args: ['--rollback-prepared-trx'] })
  expectFailure(at, ended, 'usage')
  expect(ended.stderr).toContain('--rollback-prepared-trx is for xtrabackup')
})

describe('the target dir', () => {
  test('exists: target_not_new, and stays', async () => {
    const at = workspace()
    const target = join(at.dir, 'target')
    mkdirSync(target)
    writeFileSync(join(target, 'mine'), '')
    const ended = await at.restore([backup.full.zst], { args: ['--target-dir', target] })
    expectFailure(at, ended, 'target_not_new', { kept: ['target'] })
    expect(readdirSync(target)).toEqual(['mine'])
  })

  test('of a later element appears while an earlier one is extracted: target_not_new, and it stays', async () => {
    const at = workspace()
    const started = at.start([backup.full.zst, backup.incremental], { args: ['--target-dir', join(at.dir, 'target')] })
    await until(() => existsSync(join(at.dir, 'target')))
    mkdirSync(join(at.dir, 'target-inc1'))
    writeFileSync(join(at.dir, 'target-inc1', 'mine'), '')
    expectFailure(at, await started.ended, 'target_not_new', { kept: ['target-inc1'] })
    expect(readdirSync(join(at.dir, 'target-inc1'))).toEqual(['mine'])
  })

  test('lies in the datadir: usage', async () => {
    const at = workspace()
    const ended = await at.restore([backup.full.zst], { args: ['--target-dir', join(at.datadir, 'target')] })
    expectFailure(at, ended, 'usage')
  })
})

describe('the source', () => {
  test('is not there: source_missing', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([join(at.dir, 'no-such-backup.zst')]), 'source_missing')
  })

  test('may not be read by this user: source_unreadable', async () => {
    const at = workspace()
    const source = join(at.dir, 'source')
    writeFileSync(source, 'x', { mode: 0o600 })
    await execa('chown', [String(NOBODY), at.dir])
    const ended = await at.restore([source], { uid: NOBODY })
    expectFailure(at, ended, 'source_unreadable', { kept: ['source'] })
  })

  test('is a named pipe: source_unreadable, with the way that works', async () => {
    const at = workspace()
    await execa('mkfifo', [join(at.dir, 'pipe')])
    const ended = await at.restore([join(at.dir, 'pipe')])
    expectFailure(at, ended, 'source_unreadable', { kept: ['pipe'] })
    expect(ended.stderr).toMatch(/hint: .*standard input/)
  })

  test('is a directory that is no backup: source_unknown', async () => {
    const at = workspace()
    mkdirSync(join(at.dir, 'source'))
    writeFileSync(join(at.dir, 'source', 'notes.txt'), 'x')
    expectFailure(at, await at.restore([join(at.dir, 'source')]), 'source_unknown', { kept: ['source'] })
  })

  test('is an empty directory: source_empty', async () => {
    const at = workspace()
    mkdirSync(join(at.dir, 'source'))
    expectFailure(at, await at.restore([join(at.dir, 'source')]), 'source_empty', { kept: ['source'] })
  })

  test('is an incremental without its full: chain_broken', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.incremental]), 'chain_broken')
  })

  test('is a chain in the wrong order: chain_broken', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.incremental, backup.full.bare]), 'chain_broken')
  })

  test('is the same full twice: chain_broken', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.full.bare, backup.full.bare]), 'chain_broken')
  })

  test('is a full twice, packed, which only shows after extract: chain_broken', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.full.zst, backup.full.gz]), 'chain_broken')
  })
})

describe('the command line and the configuration', () => {
  test.each([
    ['an unknown flag', ['restore', 'x', '--datadri', 'y']],
    ['an unknown command', ['restroe', 'x']],
    ['no source', ['restore', '--datadir', '/tmp/y']],
    ['no datadir', ['restore', 'x']],
    ['a number that is none', ['restore', 'x', '--datadir', '/tmp/y', '--parallel', 'many']],
    ['a size that is none', ['restore', 'x', '--datadir', '/tmp/y', '--use-memory', 'plenty']],
    ['a tool that is none', ['restore', 'x', '--datadir', '/tmp/y', '--tool', 'mysqldump']],
    ['a flag without its value', ['restore', 'x', '--datadir']],
  ])('%s: usage', async (_, args) => {
    const ended = await startAgent(args).ended
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/^error usage: \S/m)
    expect(ended.stderr).toMatch(/^hint: \S/m)
    expect(ended.stderr).not.toMatch(/^\s+at /m)
  })

  test('a wrong key in restore.yaml is named by file, line and column', async () => {
    const at = workspace()
    const config = join(at.dir, 'restore.yaml')
    writeFileSync(config, `datadir: ${at.datadir}\nstate_dir: ${at.stateDir}\n\nparallell: 3\n`)
    const ended = await startAgent(['restore', backup.full.zst, '--config', config]).ended
    expectFailure(at, ended, 'config_invalid', { kept: ['restore.yaml'] })
    expect(ended.stderr).toMatch(/restore\.yaml:4:1 parallell: .*parallel/)
  })

  test('a state dir that cannot be made: not_permitted', async () => {
    const at = workspace()
    writeFileSync(join(at.dir, 'file'), '')
    const ended = await startAgent([
      'restore',
      backup.full.zst,
      '--datadir',
      at.datadir,
      '--state-dir',
      join(at.dir, 'file/s'),
    ]).ended
    expectFailure(at, ended, 'not_permitted', { kept: ['file'] })
  })

  test('an owner that is not on this machine: ownership_failed', async () => {
    const at = workspace()
    const ended = await at.restore([backup.full.zst], { args: ['--owner', 'no-such-user:nogroup'] })
    expectFailure(at, ended, 'ownership_failed')
  })
})

describe('the machine', () => {
  /** A folder with links to everything that is needed, less what the test takes away. */
  const pathWithout = (folder: string, missing: RegExp) => {
    mkdirSync(folder)
    for (const directory of ['/usr/bin', '/usr/sbin'])
      for (const name of readdirSync(directory))
        if (!missing.test(name) && /^(ma|mb|zstd|flock|mkfifo|perl|sh|cp|gpg|openssl)/.test(name))
          try {
            symlinkSync(join(directory, name), join(folder, name))
          } catch {
            // in both directories
          }
    return folder
  }

  test.each([
    ['mariadb-backup', /^maria-?(db-)?backup/],
    ['mbstream', /^mbstream|^mariadb-.*stream/],
    ['zstd', /^zstd/],
  ])('has no %s: tool_missing', async (name, missing) => {
    const at = workspace()
    const PATH = pathWithout(join(at.dir, 'bin'), missing)
    const ended = await at.restore([backup.full.zst], { env: { PATH } })
    expectFailure(at, ended, 'tool_missing', { kept: ['bin'] })
    expect(ended.stderr).toContain(name)
  })

  test('has no tool at --tool-path: tool_missing', async () => {
    const at = workspace()
    const ended = await at.restore([backup.full.zst], { args: ['--tool-path', join(at.dir, 'mariadb-backup')] })
    expectFailure(at, ended, 'tool_missing')
  })

  test('has another tool at --tool-path: tool_version', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.full.zst], { args: ['--tool-path', '/bin/true'] }), 'tool_version')
  })

  test('has less memory than asked for: memory', async () => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.full.zst], { args: ['--use-memory', '900T'] }), 'memory')
  })

  test('runs another restore with this state dir: locked, and that one is not disturbed', async () => {
    const at = workspace()
    const first = at.start(['-'], { stdin: (await import('node:stream')).Readable.from(slowly(backup.full.bare)) })
    await processAt(at.dir, /^mbstream|\/mbstream -x/)
    const second = await startAgent([
      'restore',
      backup.full.zst,
      '--datadir',
      `${at.datadir}-2`,
      '--state-dir',
      at.stateDir,
    ]).ended
    expect(second.code).toBe(5)
    expect(second.stderr).toMatch(new RegExp(`^error locked: .*pid ${first.pid}`, 'm'))
    expectSuccess(await first.ended)
  })
})

async function* slowly(path: string) {
  const { createReadStream } = await import('node:fs')
  let first = true
  for await (const piece of createReadStream(path)) {
    yield piece
    if (first) await new Promise(resolve => setTimeout(resolve, 4000))
    first = false
  }
}
