import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress } from 'node:zlib'
import { RestoreError, toRestoreError } from '../errors.ts'
import { createSecretStream, openingKey, secretStreamKeys } from './secret-stream.ts'

/** Layers that no program of the system takes off: this program does, as a stage of its own process. */
export type OwnLayer = 'brotli' | 'libsodium'

/** Takes the layer off `input`. Returns the exit code; what is wrong is said on stderr, for the filters' grammar. */
export async function unpackStream(
  layer: OwnLayer,
  keyFile: string | null,
  input: Readable,
  output: Writable,
): Promise<number> {
  try {
    const unpack = layer === 'brotli' ? createBrotliDecompress() : decrypting(keyFile)
    await pipeline(input, unpack as NodeJS.ReadWriteStream, output)
    return 0
  } catch (thrown) {
    process.stderr.write(`${complaint(thrown)}\n`)
    return 1
  }
}

const decrypting = (keyFile: string | null) => (input: AsyncIterable<Buffer>) => decrypted(input, keyFile)

/** The plain bytes of a libsodium secretstream. Throws what `createSecretStream` throws, and `key_missing`. */
export async function* decrypted(input: AsyncIterable<Buffer>, keyFile: string | null): AsyncGenerator<Buffer> {
  const name = 'the encrypted stream'
  if (keyFile === null) throw new RestoreError('key_missing', `${name} needs a key`)
  const keys = secretStreamKeys(readFileSync(keyFile))
  let head: Buffer = Buffer.alloc(0)
  let stream: ReturnType<typeof createSecretStream> | null = null
  const begin = () => {
    const key = openingKey(head, keys)
    if (key === null)
      throw head.length < FIRST_BYTES
        ? new RestoreError('source_truncated', `${name} ends within its first message, or the key is another one`)
        : new RestoreError('wrong_key', `${keyFile} does not hold the key of ${name}`)
    stream = createSecretStream(key, name)
    return stream.push(head)
  }
  for await (const piece of input) {
    if (stream !== null) {
      yield (stream as ReturnType<typeof createSecretStream>).push(piece)
      continue
    }
    head = Buffer.concat([head, piece])
    if (head.length >= FIRST_BYTES) yield begin()
  }
  if (stream === null) yield begin()
  yield stream!.end()
}

/** The header and a whole message of wal-g. */
const FIRST_BYTES = 24 + 8192 + 17

function complaint(thrown: unknown): string {
  const { code = '', message } = thrown as NodeJS.ErrnoException
  if (code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE') return 'write: Broken pipe'
  if (code === 'Z_BUF_ERROR') return `restore-agent: source_truncated: brotli: ${message}`
  if (code.startsWith('ERR_BROTLI') || code.startsWith('ERR__ERROR_FORMAT') || code.startsWith('Z_'))
    return `restore-agent: source_corrupt: brotli: ${message}`
  const error = toRestoreError(thrown)
  return `restore-agent: ${error.code}: ${error.message}`
}
