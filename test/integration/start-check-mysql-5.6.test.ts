import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { XTRABACKUP } from '../fixtures/xtrabackup-backup.ts'
import { fileScratch } from '../support/scratch.ts'
import { expectSuccess, PROJECT, processesAt, type Workspace, workspace } from './workspace.ts'

/**
 * A chain that Percona XtraBackup 2.4.20 took and prepared from a real MySQL 5.6.24, and that server. Only the program
 * that moves the files back is a stand-in.
 */
const FIXTURES = join(PROJECT, 'test/fixtures/backups/xtrabackup-2.4')
const scratchDir = fileScratch()
let server: string
let prepared: string
beforeAll(() => {
  server = execFileSync('sh', [join(PROJECT, 'scripts/mysql-5.6.sh')], { encoding: 'utf8' }).trim()
  prepared = join(scratchDir, 'prepared')
  execFileSync('mkdir', ['-p', prepared])
  execFileSync('sh', ['-c', `zstd -dc ${FIXTURES}/chain-prepared.tar.zst | tar x -C ${prepared}`])
}, 120_000)

const OWNER = ['--owner', 'nobody:nogroup']

function restore(at: Workspace, { source = prepared, args = OWNER, path = server } = {}) {
  return at.restore([source], {
    args: ['--tool-path', XTRABACKUP, '--start-check', '--retries', '0', ...args],
    env: { REPLAY_VERSION: '2.4.20', PATH: `${path}:${process.env.PATH}` },
  })
}

const changed = (at: Workspace) => at.state()!.notices.find(text => text.startsWith('the server of the start check'))

describe('a start check on MySQL 5.6', () => {
  test('opens every table, ends the server, and changes next to nothing', async () => {
    const at = workspace()
    const ended = await restore(at)
    expectSuccess(ended)
    expect(ended.elapsedMs).toBeLessThan(60_000)
    expect(processesAt(at.dir)).toEqual([])
    const names = readdirSync(at.datadir)
    expect(names).not.toContain('auto.cnf')
    expect(names.filter(name => /ib_logfile101|sock|pid/.test(name))).toEqual([])
    // The redo log keeps the size that backup-my.cnf gives, so it is not written anew.
    expect(statSync(join(at.datadir, 'ib_logfile1')).mtimeMs).toBe(statSync(join(prepared, 'ib_logfile1')).mtimeMs)
    expect(changed(at)).toMatch(/changed \d files: .*ib_logfile0.*ibdata1/)
    expect(readdirSync('/run').filter(name => name.includes(at.state()!.restoreId))).toEqual([])
    expect(checksumsOf(at)).toEqual(readFileSync(join(FIXTURES, 'chain.truth.txt'), 'utf8').trim().split('\n').sort())
  })

  test.each([
    ['app/b.ibd', /^ {2}app\.b: Table 'app\.b' doesn't exist$/m],
    ['app/p#P#p1.ibd', /^ {2}app\.p: Table 'app\.p' doesn't exist$/m],
  ])('finds a table that lost %s', async (name, says) => {
    const at = workspace()
    const source = join(at.dir, 'source')
    cpSync(prepared, source, { recursive: true, preserveTimestamps: true })
    rmSync(join(source, name))
    const ended = await restore(at, { source })
    expect(ended, ended.stderr).toMatchObject({ code: 57 })
    expect(ended.stderr).toMatch(/^error start_check_failed: 1 tables cannot be opened: app\.[bp]$/m)
    expect(ended.stderr).toMatch(says)
    expect(processesAt(at.dir)).toEqual([])
  })

  test('tells of prepared XA transactions', async () => {
    const at = workspace()
    const source = join(at.dir, 'source')
    cpSync(prepared, source, { recursive: true, preserveTimestamps: true })
    execFileSync('chown', ['-R', 'nobody:nogroup', source])
    // MySQL 5.6 rolls it back when the client goes, so the server dies first.
    const xa = "XA START 'order 7'; UPDATE app.b SET id = id + 1000000 LIMIT 1; XA END 'order 7'; XA PREPARE 'order 7'"
    withServer(source, (_, socket) => {
      const client = `mariadb --no-defaults --socket=${socket} -uroot -e "${xa}; SELECT SLEEP(60)" >/dev/null 2>&1 &`
      execFileSync('sh', ['-c', `${client} sleep 2; kill -KILL $(cat ${source}/test.pid)`])
    })
    const ended = await restore(at, { source })
    expectSuccess(ended)
    expect(ended.stderr).toMatch(
      /1 prepared XA transactions hold locks: order 7; end each with XA COMMIT or XA ROLLBACK/,
    )
  })

  test('never runs as root: that is told before anything is written', async () => {
    const at = workspace()
    const ended = await restore(at, { args: [] })
    expect(ended).toMatchObject({ code: 2 })
    expect(ended.stderr).toMatch(
      /^error usage: --start-check would run a server as root.*\nhint: .*--owner USER:GROUP$/m,
    )
    expect(existsSync(at.datadir)).toBe(false)
  })

  test('is refused where only a server of another series is on PATH', async () => {
    const at = workspace()
    const bin = join(at.dir, 'bin')
    execFileSync('mkdir', [bin])
    writeFileSync(
      join(bin, 'mysqld'),
      '#!/bin/sh\necho "mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)"\n',
      {
        mode: 0o755,
      },
    )
    const ended = await restore(at, { path: bin })
    expect(ended.stderr).toMatch(
      /^error tool_version: no server for --start-check fits the backup: .*8\.0\.36 would upgrade the files of a 5\.6 server/m,
    )
    expect(existsSync(at.datadir)).toBe(false)
    // The fitting one behind it is taken.
    expectSuccess(await restore(workspace(), { path: `${bin}:${server}` }))
  })
})

/** CHECKSUM TABLE of each table, by the real server on the restored files. */
function checksumsOf(at: Workspace): string[] {
  const tables = ['app.a', 'app.b', 'app.child', 'app.p', 'app.m', '`wéird name`.`t-ü`']
  let rows: string[] = []
  withServer(at.datadir, sql => {
    rows = sql(`CHECKSUM TABLE ${tables.join(', ')}`)
  })
  return rows.sort()
}

/** Runs a server of the test's own as nobody on the datadir, and asks it. */
function withServer(datadir: string, work: (sql: (statements: string) => string[], socket: string) => void): void {
  const socket = join(datadir, 'test.sock')
  const script =
    `setpriv --reuid=nobody --regid=nogroup --clear-groups ${server}/mysqld --no-defaults --datadir=${datadir} ` +
    `--socket=${socket} --pid-file=${datadir}/test.pid --skip-networking --skip-grant-tables --innodb-log-file-size=25165824 ` +
    `>/dev/null 2>&1 & i=0; until [ -S ${socket} ] || [ $i -gt 100 ]; do sleep 0.1; i=$((i+1)); done`
  execFileSync('sh', ['-c', script], { cwd: datadir, stdio: 'ignore' })
  const sql = (statements: string) =>
    execFileSync(
      'mariadb',
      ['--no-defaults', `--socket=${socket}`, '-uroot', '-NB', '--default-character-set=utf8', '-e', statements],
      { encoding: 'utf8' },
    )
      .split('\n')
      .filter(Boolean)
  try {
    work(sql, socket)
  } finally {
    const pid = Number(readFileSync(join(datadir, 'test.pid'), 'utf8'))
    execFileSync('sh', ['-c', `kill ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done`])
    for (const name of ['auto.cnf', 'test.pid', 'test.sock']) rmSync(join(datadir, name), { force: true })
  }
}
