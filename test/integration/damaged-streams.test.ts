import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { MAX_HEADER_BYTES, parseChunkHeader } from '../../src/backup/xbstream-chunk.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { Backup, StreamForm } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectFailure, expectSmallStateDir, PROJECT, type Workspace, workspace } from './workspace.ts'

/** Streams that are cut, changed or wrong: some make a tool exit 1, some make it exit 0, none may end well. */
let backup: Backup
/** The bare stream, and where a chunk of a data file begins in its second half. */
let bare: Buffer
let chunkAt: number

beforeAll(async () => {
  backup = await sharedBackup()
  bare = readFileSync(backup.full.bare)
  chunkAt = chunkBorder(bare, bare.length * 0.6)
})

function chunkBorder(stream: Buffer, after: number): number {
  for (let at = 0; at < stream.length; ) {
    if (at > after) return at
    const parsed = parseChunkHeader(stream.subarray(at, at + MAX_HEADER_BYTES))
    if (parsed.kind !== 'chunk') throw new Error(`no chunk at ${at}`)
    const { headerBytes, mapBytes, payloadBytes } = parsed.header
    at += headerBytes + mapBytes + payloadBytes
  }
  throw new Error('the stream has no chunk there')
}

/** The same bytes with one bit of one byte changed. */
function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at]! ^= 0x10
  return changed
}

const CARRIERS = ['a file', 'a zstd file', 'a pipe'] as const
type Carrier = (typeof CARRIERS)[number]

/** Restores these bytes; a zstd file hides from a look at the source what only the extractor finds. */
async function restoreBytes(at: Workspace, bytes: Buffer, carrier: Carrier) {
  const file = join(at.dir, 'damaged')
  writeFileSync(file, bytes)
  if (carrier === 'a pipe') return at.restore(['-'], { stdin: createReadStream(file) })
  if (carrier === 'a file') return at.restore([file])
  await execa('zstd', ['-q', '-1', '--rm', '-f', file, '-o', `${file}.zst`])
  return at.restore([`${file}.zst`])
}

const KEPT = { kept: ['damaged', 'damaged.zst', 'key'] }

describe.each(CARRIERS)('in %s', carrier => {
  test.each<[what: string, code: ErrorCode, bytes: () => Buffer]>([
    ['cut at the border of a chunk', 'source_truncated', () => bare.subarray(0, chunkAt)],
    ['cut inside a chunk', 'source_truncated', () => bare.subarray(0, chunkAt + 5000)],
    ['cut inside the head of a chunk', 'source_truncated', () => bare.subarray(0, chunkAt + 9)],
    ['with a flipped byte in a payload', 'source_corrupt', () => flip(bare, chunkAt + 5000)],
    ['with a flipped byte in the magic of a chunk', 'source_corrupt', () => flip(bare, chunkAt + 2)],
    ['with a flipped byte in its first magic', 'source_unknown', () => flip(bare, 2)],
    ['that begins again after its end', 'source_corrupt', () => Buffer.concat([bare, bare])],
    ['of no bytes', 'source_empty', () => Buffer.alloc(0)],
    ['of garbage', 'source_unknown', () => Buffer.alloc(300_000, 'this is no backup. ')],
  ])('a stream %s: %s', async (_, code, bytes) => {
    const at = workspace()
    const ended = await restoreBytes(at, bytes(), carrier)
    expectFailure(at, ended, code, KEPT)
    expectSmallStateDir(at)
    expect(at.state()).toMatchObject({ status: 'failed', error: { code }, spans: [], tools: [] })
  })
})

describe('damage to the packed bytes', () => {
  const keyOf = (form: StreamForm) =>
    form === 'gpg' || form === 'openssl' ? ['--decrypt-key-file', backup.keyFile] : []

  test.each(['zst', 'gz', 'lz4', 'bz2', 'xz', 'gpg', 'openssl'] as const)('%s, cut: source_truncated', async form => {
    const at = workspace()
    const bytes = readFileSync(backup.full[form])
    writeFileSync(join(at.dir, 'damaged'), bytes.subarray(0, Math.floor(bytes.length * 0.7)))
    const ended = await at.restore([join(at.dir, 'damaged')], { args: keyOf(form) })
    expectFailure(at, ended, 'source_truncated', KEPT)
  })

  test.each(['zst', 'xz'] as const)('%s, with something else behind it: source_corrupt', async form => {
    const at = workspace()
    const bytes = [readFileSync(backup.full[form]), Buffer.alloc(5001, 'what is this? ')]
    writeFileSync(join(at.dir, 'damaged'), Buffer.concat(bytes))
    expectFailure(at, await at.restore([join(at.dir, 'damaged')]), 'source_corrupt', KEPT)
  })

  test.each(['zst', 'gz', 'lz4', 'bz2', 'xz', 'gpg', 'openssl'] as const)('%s, changed: source_corrupt', async form => {
    const at = workspace()
    const bytes = readFileSync(backup.full[form])
    const from = Math.floor(bytes.length * 0.7)
    // One changed byte of text is still text to some formats; noise is not.
    for (let index = 0; index < 64; index++) bytes[from + index]! ^= 0xa5
    writeFileSync(join(at.dir, 'damaged'), bytes)
    const ended = await at.restore([join(at.dir, 'damaged')], { args: keyOf(form) })
    expectFailure(at, ended, 'source_corrupt', KEPT)
  })
})

describe('keys', () => {
  test.each(['gpg', 'openssl'] as const)('the wrong one for %s: wrong_key', async form => {
    const at = workspace()
    writeFileSync(join(at.dir, 'key'), 'not this one\n')
    const ended = await at.restore([backup.full[form]], { args: ['--decrypt-key-file', join(at.dir, 'key')] })
    expectFailure(at, ended, 'wrong_key', KEPT)
  })

  test.each(['gpg', 'openssl'] as const)('the wrong one for %s through a pipe: wrong_key', async form => {
    const at = workspace()
    writeFileSync(join(at.dir, 'key'), 'not this one\n')
    const ended = await at.restore(['-'], {
      args: ['--decrypt-key-file', join(at.dir, 'key')],
      stdin: createReadStream(backup.full[form]),
    })
    expectFailure(at, ended, 'wrong_key', KEPT)
  })

  test.each(['gpg', 'openssl'] as const)('none for %s: key_missing', async form => {
    const at = workspace()
    expectFailure(at, await at.restore([backup.full[form]]), 'key_missing')
  })

  test('a key file that is not there: key_missing', async () => {
    const at = workspace()
    const ended = await at.restore([backup.full.gpg], { args: ['--decrypt-key-file', join(at.dir, 'no-such-key')] })
    expectFailure(at, ended, 'key_missing')
  })

  test('one that can be read only once, as a shell gives it: usage', async () => {
    const at = workspace()
    const command = `exec "$0" "$@" --decrypt-key-file <(echo ${backup.secret})`
    const args = ['restore', backup.full.gpg, '--datadir', at.datadir, '--state-dir', at.stateDir]
    const { exitCode, stderr } = await execa({ reject: false })('bash', [
      '-c',
      command,
      process.execPath,
      join(PROJECT, 'src/main.ts'),
      ...args,
    ])
    expectFailure(at, { code: exitCode!, signal: null, stdout: '', stderr, elapsedMs: 0 }, 'usage')
    expect(stderr).toMatch(/--decrypt-key-file \/dev\/fd\/\d+ is not a regular file/)
    expect(stderr).not.toContain(backup.secret)
  })

  test('a FIFO that nobody writes to, even where no key is needed: usage, and nobody waits for it', async () => {
    const at = workspace()
    await execa('mkfifo', [join(at.dir, 'key')])
    const ended = await at.restore([backup.full.bare], { args: ['--decrypt-key-file', join(at.dir, 'key')] })
    expectFailure(at, ended, 'usage', KEPT)
  })
})
