import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import {
  type Ended,
  expectSuccess,
  mountTmpfs,
  processAt,
  startAgent,
  stoppedTool,
  stoppingTool,
  type Workspace,
  workspace,
} from '../integration/workspace.ts'

/** The machine is at fault, not the backup: no older backup is restored instead, and a healthy restore is not ended. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const MAIN = join(import.meta.dirname, '../../src/main.ts')

/** Arguments of a restore that has an older backup to go back to. */
function argsWithOlder(at: Workspace, more: readonly string[] = []): string[] {
  const config = join(at.dir, 'restore.yaml')
  writeFileSync(config, `older_backups: [${backup.full.zst}]\nretries: 0\n`)
  return ['--config', config, ...more]
}

function expectNotBlamed(at: Workspace, ended: Ended): void {
  expect(ended.code, ended.stderr).not.toBe(0)
  expect(ended.stderr).toMatch(/^error \w+: \S/m)
  expect(ended.stderr).not.toMatch(/error internal/)
  const state = at.state()
  if (state === null) return
  expect(state, ended.stderr).toMatchObject({ status: 'failed', phase: 'failed' })
  expect(JSON.stringify(state)).not.toContain('fell_back')
}

/** A tool that does not what it should, for `--tool-path`; its siblings are the real ones. */
function brokenTool(at: Workspace, name: 'mariadb-backup' | 'mbstream', word: string, script: string): string {
  for (const tool of ['mariadb-backup', 'mbstream'])
    writeFileSync(
      join(at.dir, tool),
      `#!/bin/sh\n${tool === name ? `case "$*" in *${word}*) ${script};; esac\n` : ''}exec /usr/bin/${tool} "$@"\n`,
      { mode: 0o755 },
    )
  return join(at.dir, 'mariadb-backup')
}

const library =
  'echo "mbstream: error while loading shared libraries: libpcre2-8.so.0: cannot open shared object file" >&2; exit 127'

describe('a tool', () => {
  test.for<[string, 'mariadb-backup' | 'mbstream', string, string]>([
    ['lacks a library', 'mbstream', '-x', library],
    ['meets an instruction that this CPU has not', 'mbstream', '-x', 'kill -ILL $$'],
    [
      'cannot write: EIO',
      'mbstream',
      '-x',
      'echo "mbstream: error: Can\'t write (Errcode: 5 \\"Input/output error\\")" >&2; exit 1',
    ],
    ['cannot sync: EIO', 'mariadb-backup', '--prepare', 'echo "[ERROR] InnoDB: fsync() returned 5" >&2; kill -ABRT $$'],
    [
      'gets no memory',
      'mariadb-backup',
      '--prepare',
      'echo "[ERROR] InnoDB: Cannot map innodb_buffer_pool_size_max=8388608" >&2; exit 1',
    ],
    [
      'has too many files open',
      'mariadb-backup',
      '--prepare',
      'echo "[ERROR] InnoDB: Operating system error number 24 in a file operation." >&2; exit 1',
    ],
    [
      'finds a read-only file system',
      'mariadb-backup',
      '--prepare',
      'echo "[ERROR] InnoDB: Operating system error number 30 in a file operation." >&2; exit 1',
    ],
    ['says nothing and ends', 'mariadb-backup', '--prepare', 'exit 1'],
    ['is ended by a signal that nobody knows of', 'mariadb-backup', '--prepare', 'kill -SEGV $$'],
  ])('%s', async ([, name, word, script]) => {
    const at = workspace()
    const tool = brokenTool(at, name, word, script)
    expectNotBlamed(at, await at.restore([backup.full.bare], { args: argsWithOlder(at, ['--tool-path', tool]) }))
  })
})

describe('the machine', () => {
  test('limits the size of files (ulimit -f)', async () => {
    const at = workspace()
    const args = [
      'restore',
      backup.full.bare,
      '--datadir',
      at.datadir,
      '--state-dir',
      at.stateDir,
      ...argsWithOlder(at),
    ]
    const ended = await execa('sh', ['-c', 'ulimit -f 8000; exec "$@"', 'sh', process.execPath, MAIN, ...args], {
      reject: false,
    })
    expectNotBlamed(at, { ...ended, code: ended.exitCode ?? null, signal: null, elapsedMs: 0 } as never)
  })

  test('has no room in TMPDIR', async () => {
    const at = workspace()
    await mountTmpfs(join(at.dir, 'tmp'), 4096)
    writeFileSync(join(at.dir, 'tmp/full'), Buffer.alloc(4096))
    expectSuccess(await at.restore([backup.full.bare], { env: { TMPDIR: join(at.dir, 'tmp') } }))
  })

  test('has the target dir on a read-only disk', async () => {
    const at = workspace()
    await mountTmpfs(join(at.dir, 'disk'), 1024 ** 2)
    await execa('mount', ['-o', 'remount,ro', join(at.dir, 'disk')])
    const args = argsWithOlder(at, ['--target-dir', join(at.dir, 'disk/target')])
    expectNotBlamed(at, await at.restore([backup.full.bare], { args }))
  })

  test('loses the target dir meanwhile', async () => {
    const at = workspace()
    const tool = stoppingTool(at, '--prepare')
    const agent = at.start([backup.full.bare], {
      args: argsWithOlder(at, ['--tool-path', tool, '--target-dir', join(at.dir, 'target')]),
    })
    const stopped = await stoppedTool(at)
    renameSync(join(at.dir, 'target'), join(at.dir, 'moved'))
    rmSync(join(at.dir, 'moved'), { recursive: true })
    process.kill(stopped, 'SIGCONT')
    expectNotBlamed(at, await agent.ended)
  })

  test('has a datadir whose path is longer than the tools take', async () => {
    const at = workspace()
    const deep = join(at.dir, ...Array.from({ length: 6 }, () => 'd'.repeat(100)))
    mkdirSync(deep, { recursive: true })
    const ended = await startAgent([
      'restore',
      backup.full.bare,
      '--datadir',
      join(deep, 'data'),
      '--state-dir',
      at.stateDir,
      ...argsWithOlder(at),
    ]).ended
    expectNotBlamed(at, ended)
  })

  test('does not let this user read the source', async () => {
    const at = workspace()
    const source = join(at.dir, 'source')
    await execa('cp', ['-a', backup.full.extracted, source])
    await execa('chmod', ['-R', 'a+rX', source])
    await execa('chmod', ['600', join(source, 'app/t1.ibd')])
    await execa('chmod', ['777', at.dir])
    expectNotBlamed(at, await at.restore([source], { args: argsWithOlder(at), uid: 65534 }))
  })

  test('has the source on a read-only disk, with --in-place', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 400 * 1024 ** 2)
    await execa('cp', ['-a', backup.full.extracted, join(disk, 'source')])
    await execa('mount', ['-o', 'remount,ro', disk])
    expectNotBlamed(at, await at.restore([join(disk, 'source')], { args: argsWithOlder(at, ['--in-place']) }))
  })
})

describe('what lies beside the data', () => {
  test('a shell that stands in the empty datadir', async () => {
    const at = workspace()
    mkdirSync(at.datadir)
    const shell = execa('sleep', ['60'], { cwd: at.datadir, reject: false })
    await processAt(at.dir, /^sleep 60/)
    expectSuccess(await at.restore([backup.full.bare]))
    shell.kill('SIGKILL')
    await shell
  })
})
