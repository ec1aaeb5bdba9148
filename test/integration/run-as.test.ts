import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { checksums, startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, type Workspace, workspace } from './workspace.ts'

/* Root's rights are needed to give files away, not to extract, prepare and move a backup. */

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const [UID, GID] = [45_678, 45_679]
const OWNER = ['--owner', `${UID}:${GID}`]

/** The real tools, which note the user that they run as and what they do. */
function notingTools(at: Workspace): { path: string; noted: () => string[] } {
  const [bin, notes] = [join(at.dir, 'bin'), join(at.dir, 'notes')]
  mkdirSync(bin)
  chmodSync(bin, 0o755)
  writeFileSync(notes, '')
  chmodSync(notes, 0o666)
  for (const name of ['mariadb-backup', 'mbstream', 'zstd']) {
    const what = `case "$*" in *--version*) ;; *) echo "$(id -u):$(id -g):$(id -G) ${name} $1" >>${notes};; esac`
    writeFileSync(join(bin, name), `#!/bin/sh\n${what}\nexec /usr/bin/${name} "$@"\n`, { mode: 0o755 })
  }
  return { path: bin, noted: () => readFileSync(notes, 'utf8').trim().split('\n') }
}

async function expectRestoredFor(at: Workspace): Promise<void> {
  const { stdout: foreign } = await execa('find', [
    at.datadir,
    '!',
    '-uid',
    String(UID),
    '-o',
    '!',
    '-gid',
    String(GID),
  ])
  expect(foreign).toBe('')
  await execa('chown', ['-R', 'root:root', at.datadir])
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
}

describe('with an owner, root runs the tools as that owner', () => {
  test('from a stream', async () => {
    const at = workspace()
    const { path, noted } = notingTools(at)
    const env = { PATH: `${path}:${process.env.PATH}` }
    const ended = await at.restore([backup.full.zst], { args: OWNER, env })
    expectSuccess(ended)
    const own = `${UID}:${GID}:${GID}`
    expect(noted().filter(line => !line.startsWith('0:0'))).toEqual([
      expect.stringMatching(new RegExp(`^${own} (zstd|mbstream)`)),
      expect.stringMatching(new RegExp(`^${own} (zstd|mbstream)`)),
      `${own} mariadb-backup --prepare`,
      expect.stringMatching(new RegExp(`^${own} mariadb-backup --defaults-file`)),
    ])
    // As root only the look at the first bytes.
    expect(noted().filter(line => line.startsWith('0:0') && !/ zstd /.test(line))).toEqual([])
    await expectRestoredFor(at)
  })

  test('from a directory that only root may read', async () => {
    const at = workspace()
    const { path, noted } = notingTools(at)
    const source = join(at.dir, 'source')
    await execa('cp', ['-a', backup.full.extracted, source])
    chmodSync(source, 0o700)
    const env = { PATH: `${path}:${process.env.PATH}` }
    expectSuccess(await at.restore([source], { args: OWNER, env }))
    expect(noted().every(line => line.startsWith(`${UID}:${GID}:${GID} mariadb-backup`))).toBe(true)
    await expectRestoredFor(at)
  })

  test('whose parent directory names the owner', async () => {
    const at = workspace()
    const { path, noted } = notingTools(at)
    chownSync(at.dir, UID, GID)
    const env = { PATH: `${path}:${process.env.PATH}` }
    expectSuccess(await at.restore([backup.full.bare], { env }))
    expect(noted().every(line => line.startsWith(`${UID}:`))).toBe(true)
    await expectRestoredFor(at)
  })
})

test('where the owner cannot reach the tool, it runs as root, and that is told', async () => {
  const at = workspace()
  const { path, noted } = notingTools(at)
  chmodSync(path, 0o700)
  const env = { PATH: `${path}:${process.env.PATH}` }
  const ended = await at.restore([backup.full.bare], { args: OWNER, env })
  expectSuccess(ended)
  expect(ended.stderr).toMatch(/note: tools run as root: 45678:45679 cannot reach .*mariadb-backup/)
  expect(noted().every(line => line.startsWith('0:0'))).toBe(true)
  await expectRestoredFor(at)
})
