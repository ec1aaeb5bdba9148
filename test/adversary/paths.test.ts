import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectSuccess, PROJECT, startAgent, type Workspace, workspace } from '../integration/workspace.ts'

/**
 * Paths of lengths at which something breaks: 107 bytes (a socket), 255 (a name), 511 (the tools cut a path off without
 * a word, so that move-back gives files shorter names), 4095 (the kernel).
 */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A path of exactly this length below the workspace; its parent exists. */
function pathOf(at: Workspace, bytes: number, nameBytes = 100): string {
  let path = join(at.dir, 'p')
  while (path.length < bytes) path += `/${'d'.repeat(Math.min(nameBytes, Math.max(1, bytes - path.length - 1)))}`
  path = path.slice(0, bytes).replace(/\/$/, 'd')
  mkdirSync(bytes < 4000 && nameBytes < 256 ? join(path, '..') : join(at.dir, 'p'), { recursive: true })
  return path
}

const places = (at: Workspace, changes: Readonly<Record<string, string>> = {}) =>
  Object.entries({ '--datadir': at.datadir, '--state-dir': at.stateDir, ...changes }).flat()

describe('a path that is too long is refused before the work, with its length and a hint', () => {
  test.for<[string, number, number]>([
    ['--datadir', 448, 100],
    ['--datadir', 600, 100],
    ['--datadir', 400, 300],
    ['--datadir', 5000, 100],
    ['--target-dir', 448, 100],
    ['--target-dir', 600, 100],
    ['--target-dir', 400, 300],
    ['--target-dir', 5000, 100],
    ['--state-dir', 400, 300],
    ['--state-dir', 5000, 100],
  ])('%s of %i bytes in names of %i', async ([option, bytes, nameBytes]) => {
    const at = workspace()
    const path = pathOf(at, bytes, nameBytes)
    const before = readdirSync(at.dir)
    const ended = await startAgent(['restore', backup.full.zst, ...places(at, { [option]: path })]).ended
    expect(ended.stderr).toMatch(/^error path_too_long: \S/m)
    expect(ended.stderr).toMatch(/^hint: name a shorter/m)
    expect(ended.code).toBe(19)
    expect(readdirSync(at.dir).filter(name => name !== 'state')).toEqual(before)
    expect(existsSync(at.datadir)).toBe(false)
  })
})

test('the names of the backup count: the datadir of a bare stream has room for the longest one, or is refused', async () => {
  const at = workspace()
  const path = pathOf(at, 447)
  expectSuccess(
    await startAgent([
      'restore',
      backup.full.bare,
      ...places(at, { '--datadir': path, '--target-dir': join(at.dir, 'target') }),
    ]).ended,
  )
  const server = await startServer(path)
  expect(await checksums(server).finally(server.stop)).toEqual(backup.checksums.full)
})

test('a long TMPDIR, state dir and target dir do not keep a start check from its socket', async () => {
  const at = workspace()
  const [temporary, stateDir] = [pathOf(at, 200), pathOf(at, 300)]
  mkdirSync(temporary, { recursive: true })
  const ended = await startAgent(
    [
      'restore',
      backup.full.bare,
      ...places(at, { '--state-dir': stateDir }),
      '--start-check',
      '--owner',
      'nobody:nogroup',
    ],
    { env: { TMPDIR: temporary } },
  ).ended
  expectSuccess(ended)
})

describe('a state dir inside of what is restored, filled or read is refused, and nothing is made there', () => {
  test.for(['datadir', 'target', 'source'])('%s', async where => {
    const at = workspace()
    mkdirSync(join(at.dir, 'source'))
    const ended = await startAgent([
      'restore',
      where === 'source' ? join(at.dir, 'source') : backup.full.bare,
      ...places(at, {
        '--datadir': join(at.dir, 'datadir'),
        '--target-dir': join(at.dir, 'target'),
        '--state-dir': join(at.dir, where, 'state'),
      }),
    ]).ended
    expect(ended.stderr).toMatch(/^error usage: the state dir \S+ is inside the (datadir|target dir|source) /m)
    expect(readdirSync(at.dir, { recursive: true })).toEqual(['source'])
  })
})

test('a working directory that was removed is told as such', async () => {
  const at = workspace()
  const main = join(PROJECT, 'src/main.ts')
  const script = 'cd "$1" && mkdir gone && cd gone && rmdir ../gone && shift && exec "$@"'
  const args = [script, 'sh', at.dir, process.execPath, main, 'restore', backup.full.bare, ...places(at)]
  const { exitCode, stderr } = await execa('sh', ['-c', ...args], { reject: false })
  expect(stderr).toMatch(/^error usage: the working directory was removed\nhint: /m)
  expect(exitCode).toBe(2)
})
