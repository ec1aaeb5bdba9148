import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress } from 'node:zlib'
import { detectFormat, type OuterFormat } from '../backup/formats.ts'
import { RestoreError } from '../errors.ts'
import { toolEnv } from '../process/tool-env.ts'
import type { Command } from '../tool/command.ts'
import { decompressStage, gpgStage } from '../tool/filters.ts'
import { lastLines, toolMissing } from './filter.ts'
import { filterFailure } from './filter-failure.ts'
import { openingKey, secretStreamKeys } from './secret-stream.ts'
import { decrypted } from './unpack-stream.ts'

/**
 * wal-g's split-merge: block by block in turn from each part, as it cut them. `parts` give plain bytes. Throws
 * `source_truncated` where a part ends and bytes follow: a block of it is missing.
 */
export async function* mergeStripes(
  name: string,
  parts: readonly AsyncIterable<Buffer>[],
  blockBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  const readers = parts.map(bytes => ({ pieces: bytes[Symbol.asyncIterator](), rest: Buffer.alloc(0) as Buffer }))
  let ended: number | null = null
  try {
    for (let open = true; open; ) {
      open = false
      for (const [index, reader] of readers.entries()) {
        let left = blockBytes
        while (left > 0) {
          if (reader.rest.length === 0) {
            const { done, value } = await reader.pieces.next()
            if (done) break
            reader.rest = value
            continue
          }
          if (ended !== null)
            throw new RestoreError('source_truncated', `${name}: part ${ended} ends before part ${index} does`)
          const piece = reader.rest.subarray(0, left)
          reader.rest = reader.rest.subarray(piece.length)
          left -= piece.length
          open = true
          yield piece
        }
        if (left > 0) ended ??= index
      }
    }
  } finally {
    await Promise.allSettled(readers.map(({ pieces }) => pieces.return?.()))
  }
}

/** Of the compressions that wal-g names by an extension. */
const BY_EXTENSION: Readonly<Record<string, OuterFormat>> = {
  br: 'brotli',
  gz: 'gzip',
  lz4: 'lz4',
  lzma: 'lzma',
  zst: 'zstd',
}

/**
 * The layers around an object of wal-g's that begins a stream, outermost first: its extension tells the compression,
 * and bytes that do not look so are encrypted. Throws `key_missing`, `wrong_key`.
 */
export function layersOfObject(name: string, head: Buffer, keyFile: string | null): OuterFormat[] {
  const extension = /\.([a-z0-9]+)$/.exec(name)?.[1] ?? ''
  const compression = Object.hasOwn(BY_EXTENSION, extension) ? BY_EXTENSION[extension]! : null
  const inner = compression === null ? [] : [compression]
  const format = detectFormat(head)
  const isGpg = format === 'gpg'
  if (isGpg && keyFile !== null) return ['gpg', ...inner]
  if (keyFile !== null && openingKey(head, secretStreamKeys(readFileSync(keyFile))) !== null)
    return ['libsodium', ...inner]
  if (compression === null ? format !== null && !isGpg : compression === 'brotli' || format === compression)
    return inner
  throw keyFile === null
    ? new RestoreError('key_missing', `${name} is encrypted${isGpg ? ' with gpg' : ', with libsodium as it seems'}`)
    : new RestoreError('wrong_key', `${name} is encrypted with another key than that of ${keyFile}`)
}

/** The bytes without these layers. Throws what `filterFailure` finds, `tool_missing`, and as `decrypted` does. */
export function withoutLayers(
  name: string,
  bytes: AsyncIterable<Buffer>,
  layers: readonly OuterFormat[],
  keyFile: string | null,
): AsyncIterable<Buffer> {
  return layers.reduce((input, layer) => unpacked(name, input, layer, keyFile), bytes)
}

async function* unpacked(
  name: string,
  input: AsyncIterable<Buffer>,
  layer: OuterFormat,
  keyFile: string | null,
): AsyncGenerator<Buffer, void, undefined> {
  if (layer === 'libsodium') return yield* decrypted(input, keyFile)
  if (layer === 'brotli') return yield* throughBrotli(name, input)
  const homedir = layer === 'gpg' ? mkdtempSync(join(tmpdir(), 'restore-agent-gpg-')) : null
  try {
    const command = homedir === null ? decompressStage(layer as never) : gpgStage({ keyFile: keyFile!, homedir })
    yield* throughCommand(name, input, layer, command)
  } finally {
    if (homedir !== null) rmSync(homedir, { recursive: true, force: true })
  }
}

async function* throughBrotli(name: string, input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const brotli = createBrotliDecompress()
  const fed = pipeline(Readable.from(input, { objectMode: false }), brotli)
  fed.catch(() => {}) // its error is also that of the iteration, or of `fed` below
  try {
    yield* brotli as AsyncIterable<Buffer>
    await fed
  } catch (thrown) {
    if (thrown instanceof RestoreError) throw thrown
    const code = (thrown as NodeJS.ErrnoException).code === 'Z_BUF_ERROR' ? 'source_truncated' : 'source_corrupt'
    throw new RestoreError(code, `brotli cannot read ${name}: ${(thrown as Error).message}`, { cause: thrown })
  }
}

const STDERR_LIMIT = 1 << 16

async function* throughCommand(
  name: string,
  input: AsyncIterable<Buffer>,
  layer: OuterFormat,
  { file, args }: Command,
): AsyncGenerator<Buffer, void, undefined> {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: toolEnv(), cwd: '/' })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LIMIT)
  })
  const exited = once(child, 'close').then(([code]) => code as number | null)
  exited.catch(() => {})
  const fed = pipeline(Readable.from(input, { objectMode: false }), child.stdin).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    const code = await exited.catch(cause => {
      throw toolMissing(file, cause)
    })
    const feedError = await fed
    // What the source says comes first: a filter whose input ends early only sees that.
    if (feedError instanceof RestoreError) throw feedError
    if (code !== 0) {
      const failure = filterFailure(layer, stderr)
      throw new RestoreError(failure.code, `${layer} cannot read ${name}`, { lastWords: lastLines(stderr) })
    }
  } finally {
    child.kill('SIGKILL')
    await exited.catch(() => {})
  }
}
