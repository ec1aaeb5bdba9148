import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { xbstream } from '../fixtures/xbstream-writer.ts'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { type Workspace, workspace } from '../integration/workspace.ts'
import { rootsSecret } from './other-user.ts'

/** A backup that was made to attack who restores it. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

async function copyOf(at: Workspace): Promise<string> {
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', backup.full.extracted, source])
  return source
}

async function expectRefusedOrEqual(at: Workspace, code: number | null, stderr: string): Promise<void> {
  expect(stderr).not.toMatch(/error internal/)
  if (code !== 0) {
    expect(stderr).toMatch(/^error \w+: /m)
    expect(stderr).toMatch(/^hint: /m)
    return
  }
  const server = await startServer(at.datadir)
  expect(await checksums(server).finally(server.stop)).toEqual(backup.checksums.full)
}

describe('backup-my.cnf', () => {
  test.for([
    '[mysqld]\nplugin_load=evil.so\nplugin_dir=SOURCE',
    '[mysqld]\nplugin-load-add=evil=evil.so\nplugin_dir=SOURCE',
    '[mysqld]\nloose-plugin_load_add = evil.so\nplugin-dir = SOURCE',
    '[mariadb-backup]\nplugin_load=evil.so\nplugin_dir=SOURCE',
    '[mysqld]\ninnodb_data_home_dir=SECRET',
    '[mysqld]\ninnodb_log_group_home_dir=SECRET',
    '[mysqld]\ninnodb_undo_directory=SECRET',
    '[mysqld]\ninnodb_data_file_path=SECRET/ibdata1:12M:autoextend',
    '[mysqld]\ninnodb_data_file_path=../../roots-secret/ibdata1:12M:autoextend',
    '[mysqld]\ntmpdir=SECRET',
    '[mysqld]\nlog_error=SECRET/id_rsa',
    '!include SECRET/id_rsa',
    '!includedir SECRET',
  ])('%j: no code of the backup runs, and no file outside is touched', async lines => {
    const at = workspace()
    const source = await copyOf(at)
    const secret = rootsSecret(at.dir)
    const before = secret.look()
    writeFileSync(join(source, 'evil.so'), 'no library at all')
    const text = lines.replaceAll('SOURCE', source).replaceAll('SECRET', secret.path)
    appendFileSync(join(source, 'backup-my.cnf'), `\n${text}\n`)
    const ended = await at.restore([source])
    expect(secret.look()).toEqual(before)
    const runDir = join(at.stateDir, at.state()?.restoreId ?? '')
    const said = existsSync(runDir)
      ? readdirSync(runDir)
          .filter(name => name.endsWith('.stderr'))
          .map(name => readFileSync(join(runDir, name), 'utf8'))
      : []
    expect(said.join('\n')).not.toMatch(/shared library|the private key of root/)
    await expectRefusedOrEqual(at, ended.code, ended.stderr)
  })
})

describe('a path in a stream', () => {
  const PATHS = {
    absolute: (at: Workspace) => join(at.dir, 'evil'),
    'with ..': () => '../evil',
    'with .. inside': () => 'app/../../evil',
    'with NUL': () => 'app/evil\0.ibd',
    'with a newline': () => 'app/evil\n.ibd',
    'with an escape': () => 'app/\u001b[2Jevil.ibd',
    'of a link made before': () => 'link/evil',
  }
  describe.for(Object.entries(PATHS))('%s', ([, path]) => {
    test.for(['bare', 'zst', 'stdin'])('is never written: %s', async form => {
      const at = workspace()
      const bytes = xbstream(
        new Map([
          [path(at), Buffer.from('evil')],
          ['ibdata1', Buffer.alloc(65536)],
        ]) as never,
        10_000,
      )
      const file = join(at.dir, 'evil.xb')
      writeFileSync(file, bytes)
      if (form === 'zst') await execa('zstd', ['-q', '--rm', file])
      const source = form === 'zst' ? `${file}.zst` : file
      const ended = await at.restore([form === 'stdin' ? '-' : source], {
        args: ['--tool', 'mariadb-backup'],
        ...(form === 'stdin' && { stdinFile: source }),
      })
      expect(ended.code, ended.stderr).not.toBe(0)
      expect(ended.stderr).not.toMatch(/error internal|\u001b\[2J/)
      const names = readdirSync(at.dir, { recursive: true })
        .map(String)
        .filter(name => !/^evil\.xb/.test(name))
      expect(names.filter(name => name.includes('evil'))).toEqual([])
      expect(existsSync('/evil')).toBe(false)
    })
  })
})

test('a backup of ten thousand tables with long odd names is refused or restored, and its names do not steer the terminal', async () => {
  const at = workspace()
  const source = await copyOf(at)
  mkdirSync(join(source, 'x\u001b]0;owned\u0007'))
  writeFileSync(join(source, 'x\u001b]0;owned\u0007', 't\u001b[31m.ibd'), Buffer.alloc(100))
  const ended = await at.restore([source])
  expect(`${ended.stderr}${ended.stdout}`).not.toContain('\u001b]0;')
  await expectRefusedOrEqual(at, ended.code, ended.stderr)
})
