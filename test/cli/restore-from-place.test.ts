import { constants, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { runCli } from '../../src/cli/run-cli.ts'
import { xbcloudObjects } from '../fixtures/xbcloud-objects.ts'
import { payloadChunk, xbstream } from '../fixtures/xbstream-writer.ts'
import { filesOf, incrementalOf, PLAIN, replayEnv, writeXtrabackup, XTRABACKUP } from '../fixtures/xtrabackup-backup.ts'
import { captureOutput } from '../support/capture-output.ts'
import { scratch } from '../support/scratch.ts'

/** Restores of backups that a place holds, with the stand-ins for xtrabackup. */
const said = captureOutput()
let dir: string
let place: string

const FULL = 'c-2026-01-01-03:00:00-full'
const INC = `${FULL}.incr/c-2026-01-02-03:00:00-incr`
const store = (objects: Readonly<Record<string, Buffer>>) => {
  for (const [key, bytes] of Object.entries(objects)) {
    mkdirSync(dirname(join(place, key)), { recursive: true })
    writeFileSync(join(place, key), bytes)
  }
}
const chunk = (id: string, path: string, number = 0) => join(place, id, `${path}.${String(number).padStart(20, '0')}`)

beforeEach(() => {
  dir = scratch()
  place = join(dir, 'store')
  for (const [name, value] of Object.entries(replayEnv())) vi.stubEnv(name, value)
  store(xbcloudObjects(FULL, xbstream(filesOf(PLAIN), 65_536)))
  store(xbcloudObjects(INC, xbstream(incrementalOf(PLAIN), 65_536)))
})
afterEach(() => void vi.unstubAllEnvs())

const restoreWith = (tool: string, ...args: string[]) =>
  runCli([
    ...['restore', place, '--datadir', join(dir, 'data'), '--state-dir', join(dir, 'state')],
    ...['--tool-path', tool, '--retries', '0', ...args],
  ])
const restore = (...args: string[]) => restoreWith(XTRABACKUP, ...args)
const state = () => JSON.parse(readFileSync(join(dir, 'state/state.json'), 'utf8'))
const table = () => readFileSync(join(dir, 'data/app/t1.ibd'))

describe('a restore of a backup in a store of xbcloud', () => {
  test('takes the latest with its chain; the one before it is an older backup', async () => {
    expect(await restore('--backup', 'latest')).toBe(0)
    expect(table()).toHaveLength(550_000)
    expect(readFileSync(join(dir, 'data/ibdata1'))).toEqual(filesOf(PLAIN).ibdata1)
    const backup = (id: string) => ({ kind: 'backup', place: { kind: 'path', path: place }, layout: 'xbcloud', id })
    expect(state()).toMatchObject({
      status: 'succeeded',
      chainLength: 2,
      options: { sources: [backup(FULL), backup(INC)], olderBackups: [[backup(FULL)]] },
      plan: { tool: { version: '8.0.35-31' } },
    })
  })

  test('takes the latest before a time', async () => {
    expect(await restore('--before', '2026-01-02')).toBe(0)
    expect(table()).toEqual(filesOf(PLAIN)['app/t1.ibd'])
    expect(state()).toMatchObject({ status: 'succeeded', chainLength: 1 })
  })

  test.each([
    ['its name', ['--backup', FULL], 1],
    ['the last part of its name', ['--backup', INC.split('/')[1]!], 2],
    ['a time with a zone', ['--before', '2026-01-02T03:59:00+01:00', '--backup', 'latest'], 1],
  ])('plans the one of %s', async (_, flags, elements) => {
    expect(await restore(...flags, '--dry-run', '--json')).toBe(0)
    expect(JSON.parse(said.stdout).plan.elements).toHaveLength(elements)
  })

  test('shows the plan, with the steps of the chain', async () => {
    expect(await restore('--backup', 'latest', '--dry-run')).toBe(0)
    expect(said.stdout).toContain(`<(restore-agent transfer ${place}/${INC})`)
    expect(readdirSync(dir)).toEqual(['store'])
  })

  test('goes back to an older backup where the bytes of the latest are damaged', async () => {
    const damaged = chunk(INC, 'app/t1.ibd.delta')
    const bytes = readFileSync(damaged)
    bytes[1000]! ^= 1
    writeFileSync(damaged, bytes)
    expect(await restore('--backup', 'latest')).toBe(0)
    expect(state()).toMatchObject({ status: 'succeeded', backupIndex: 1 })
    expect(table()).toEqual(filesOf(PLAIN)['app/t1.ibd'])
  })

  test('passes over a latest that is not whole, and refuses it by its name', async () => {
    rmSync(chunk(INC, 'xtrabackup_info'))
    expect(await restore('--backup', INC)).toBe(29)
    expect(said.stderr).toMatch(/error backup_incomplete: .*-incr cannot be restored: .*missing of xtrabackup_info/)
    expect(existsSync(join(dir, 'data'))).toBe(false)
    expect(await restore('--backup', 'latest')).toBe(0)
    expect(state()).toMatchObject({ chainLength: 1 })
  })

  test('with a path that leads out of the target dir ends in source_corrupt and writes nothing', async () => {
    writeFileSync(chunk(FULL, 'app/t1.ibd'), payloadChunk('../../evil', Buffer.alloc(65_536), 0))
    expect(await restore('--backup', FULL)).toBe(25)
    expect(said.stderr).toContain('error source_corrupt:')
    expect(readdirSync(dir).sort()).toEqual(['state', 'store'])
  })

  test.each([
    ['no backup of this name', ['--backup', 'monday'], 'backup_missing', 39],
    ['none so old', ['--before', '2020-01-01'], 'backup_missing', 39],
    ['a layout alone', ['--layout', 'xbcloud'], 'usage', 2],
    ['a layout that is not', ['--layout', 'x', '--backup', 'latest'], 'usage', 2],
    ['a time that is none', ['--before', 'soon'], 'usage', 2],
    ['no name', ['--backup', ''], 'usage', 2],
    ['the place alone', [], 'source_unknown', 22],
  ])('with %s is refused', async (_, flags, code, exit) => {
    expect(await restore(...flags)).toBe(exit)
    expect(said.stderr).toContain(`error ${code}:`)
    if (flags.length === 0) expect(said.stderr).toContain('hint: choose one with --backup latest')
  })
})

test('a restore of one stream in a place is that of the file', async () => {
  rmSync(place, { recursive: true })
  mkdirSync(place)
  writeXtrabackup(join(place, 'full-2026-01-01T030000.xb'))
  writeXtrabackup(join(place, 'full-2026-01-02T030000.xb'))
  expect(await restore('--backup', 'latest')).toBe(0)
  expect(state().options.sources).toEqual([{ kind: 'file', path: join(place, 'full-2026-01-02T030000.xb') }])
})

describe('a restore of a backup of MyHoard', () => {
  const ID = 'site/2026-06-17T03:00:00.647931+00:00_7fba6afa-83f8-43e5-a565-0c6ab43386af'
  const key = randomBytes(24)
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const wrapped = publicEncrypt(
    { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
    key,
  )

  /** Stands for an xbstream that decrypts: notes the key that it is given, and takes the suffix off. */
  function tools(): string {
    const folder = join(dir, 'tools')
    mkdirSync(folder)
    symlinkSync(XTRABACKUP, join(folder, 'xtrabackup'))
    const script = `#!/bin/sh
for word in "$@"; do
  shift
  case "$word" in
    --encrypt-key-file=*) cat "\${word#*=}" > '${join(dir, 'seen-key')}' ;;
    --decrypt=*) ;;
    *) set -- "$@" "$word" ;;
  esac
  [ "$before" = -C ] && target=$word
  before=$word
done
'${join(dirname(XTRABACKUP), 'xbstream')}' "$@" || exit $?
find "$target" -name '*.xbcrypt' | while read -r path; do mv "$path" "\${path%.xbcrypt}"; done
`
    writeFileSync(join(folder, 'xbstream'), script, { mode: 0o755 })
    return join(folder, 'xtrabackup')
  }

  beforeEach(() => {
    rmSync(place, { recursive: true })
    const names = Object.entries(filesOf(PLAIN)).map(([path, bytes]) => [`${path}.xbcrypt`, bytes] as const)
    const stream = xbstream(Object.fromEntries(names), 65_536)
    store({
      [`${ID}/basebackup.xbstream`]: stream.subarray(0, 500_000),
      [`${ID}/basebackup.xbstream.002`]: stream.subarray(500_000, 1_000_000),
      [`${ID}/basebackup.xbstream.003`]: stream.subarray(1_000_000),
      [`${ID}/basebackup.json`]: Buffer.from(
        JSON.stringify({
          compressed_size: stream.length,
          encryption_key: wrapped.toString('hex'),
          incremental: false,
          number_of_splits: 3,
        }),
      ),
      [`${ID}/completed.json`]: Buffer.from('{}'),
    })
  })

  test('joins its slices and gives the unwrapped key to the extractor, and to nobody else', async () => {
    writeFileSync(join(dir, 'rsa.pem'), pair.privateKey)
    const flags = ['--backup', 'latest', '--decrypt-key-file', join(dir, 'rsa.pem')]
    expect(await restoreWith(tools(), ...flags)).toBe(0)
    expect(readFileSync(join(dir, 'seen-key'), 'latin1')).toBe(key.toString('base64'))
    expect(readFileSync(join(dir, 'data/ibdata1'))).toEqual(filesOf(PLAIN).ibdata1)
    const left = readdirSync(join(dir, 'state'), { recursive: true, encoding: 'utf8' })
    expect(left.filter(path => path.includes('inner-key'))).toEqual([])
    for (const path of left.filter(name => statSync(join(dir, 'state', name)).isFile()))
      expect(readFileSync(join(dir, 'state', path), 'latin1')).not.toContain(key.toString('base64'))
  })

  test('without the RSA key is refused, and with another one', async () => {
    expect(await restoreWith(tools(), '--backup', 'latest')).toBe(27)
    expect(said.stderr).toContain("give MyHoard's RSA private key")
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(join(dir, 'rsa.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    expect(await restore('--backup', 'latest', '--decrypt-key-file', join(dir, 'rsa.pem'))).toBe(26)
    expect(existsSync(join(dir, 'data'))).toBe(false)
  })
})
