import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { PROJECT, type Workspace, workspace } from '../integration/workspace.ts'

/**
 * Files that the agent reads whole, which are no such files: a terabyte of nothing, a FIFO that nobody writes to, a
 * device, a directory. Each ends in seconds with one clear error.
 */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const TERABYTE = 2 ** 40

const KINDS: Readonly<Record<string, (path: string) => unknown>> = {
  'a terabyte of nothing': path => {
    writeFileSync(path, '')
    truncateSync(path, TERABYTE)
  },
  'a FIFO': path => execa('mkfifo', [path]),
  'a directory': path => mkdirSync(path),
  '/dev/zero': path => symlinkSync('/dev/zero', path),
}

async function expectOneError(args: readonly string[], mayEndWell = false): Promise<void> {
  const main = join(PROJECT, 'src/main.ts')
  const { exitCode, stderr, durationMs, timedOut } = await execa(
    process.execPath,
    ['--max-old-space-size=256', main, ...args],
    { reject: false, timeout: 60_000, killSignal: 'SIGKILL' },
  )
  expect(timedOut, stderr).toBe(false)
  expect(durationMs).toBeLessThan(30_000)
  if (exitCode === 0 && mayEndWell) return
  expect(exitCode, stderr).toBeGreaterThan(0)
  expect(stderr.match(/^error \w+: \S/gm), stderr).toHaveLength(1)
  expect(stderr).not.toMatch(/^error internal|heap out of memory/m)
  expect(stderr).toMatch(/^hint: \S/m)
}

const argsOf = (at: Workspace, source: string) => [
  'restore',
  source,
  '--datadir',
  at.datadir,
  '--state-dir',
  at.stateDir,
]

describe.for(Object.keys(KINDS))('%s as', kind => {
  test.for(['--config of restore', '--config of serve', '--decrypt-key-file', '--encryption-key-file', '--token-file'])(
    '%s',
    async option => {
      const at = workspace()
      const file = join(at.dir, 'file')
      await KINDS[kind]!(file)
      if (option === '--config of serve') return expectOneError(['serve', '--config', file])
      if (option === '--token-file')
        return expectOneError(['status', '--url', 'http://127.0.0.1:9', '--token-file', file])
      return expectOneError([...argsOf(at, backup.full.bare), option.replace(/ .*/, ''), file])
    },
  )

  test.for([
    'xtrabackup_checkpoints',
    'xtrabackup_info',
    'backup-my.cnf',
    'xtrabackup_binlog_info',
    'app/t1.isl',
    'xtrabackup_tablespaces',
  ])('%s of a directory source', async name => {
    const at = workspace()
    const source = join(at.dir, 'source')
    await execa('cp', ['-a', backup.full.extracted, source])
    rmSync(join(source, name), { force: true })
    await KINDS[kind]!(join(source, name))
    // A directory is a database, whatever its name.
    await expectOneError(argsOf(at, source), kind === 'a directory')
  })
})
