import { readFileSync } from 'node:fs'
import { foreignFormat } from '../backup/foreign-format.ts'
import { detectFormat, ENCRYPTED, formatByName, type OuterFormat } from '../backup/formats.ts'
import { RestoreError } from '../errors.ts'
import { type FilteredHead, type Filters, filterHead, lastLines } from './filter.ts'
import { filterFailure } from './filter-failure.ts'
import { openingKey, secretStreamKeys } from './secret-stream.ts'
import { PEEK_BYTES, type StreamSource } from './source.ts'

/** More layers than anybody has; the end of a stream that unpacks to itself. */
const MAX_LAYERS = 4
/** Enough for nearly every filter to give something, and quick to unpack. */
const SMALL_PEEK_BYTES = 256 << 10
/**
 * A filter may need a whole block before it gives a byte: bzip2 900 kB, lz4 up to 8 MiB (legacy frames). So a head that
 * yields nothing is taken again at this size.
 */
const LARGE_PEEK_BYTES = 12 << 20

export interface PeelOptions {
  filters: Filters
  /** For gpg and openssl; null when the user gave none. */
  keyFile: string | null
}

export interface Peeled {
  /** Outermost first; also when a problem ended the peeling. */
  layers: readonly OuterFormat[]
  /** The first bytes of the xbstream, at most 1 MiB; empty when there is a problem. */
  head: Buffer
  /**
   * `source_empty`, `source_unknown`, `source_corrupt`, `source_truncated`, or what `filterFailure` finds around the
   * backup.
   */
  problem: RestoreError | null
}

/**
 * Finds the layers around an xbstream: tells the format of the first bytes, runs the filter that takes it off on them,
 * looks at what comes out, and so on until an xbstream appears. Throws only for what is not the backup's fault
 * (`source_unreadable`, `tool_missing`, `tool_killed`).
 *
 * A wrong key shows in two ways: gpg refuses and gives nothing; openssl gives noise, which has no format.
 */
export async function peelLayers(source: StreamSource, options: PeelOptions): Promise<Peeled> {
  const head = await source.peek(SMALL_PEEK_BYTES)
  if (head.length === 0) {
    return { layers: [], head, problem: new RestoreError('source_empty', `${source.name} holds no bytes`) }
  }
  if (detectFormat(head) === 'xbstream') return { layers: [], head: await source.peek(PEEK_BYTES), problem: null }
  const peeled = await peelHead(source.name, head, options)
  const gaveNothing = peeled.problem?.code === 'source_truncated' || peeled.problem?.code === 'source_corrupt'
  if (!gaveNothing || head.length < SMALL_PEEK_BYTES) return peeled
  return peelHead(source.name, await source.peek(LARGE_PEEK_BYTES), options)
}

async function peelHead(name: string, first: Buffer, { filters, keyFile }: PeelOptions): Promise<Peeled> {
  const layers: OuterFormat[] = []
  const end = (problem: RestoreError): Peeled => ({ layers, head: Buffer.alloc(0), problem })
  let head = first
  for (;;) {
    const format = detectFormat(head) ?? withoutMagic(name, layers, head, keyFile)
    if (format === 'xbstream') return { layers, head: head.subarray(0, PEEK_BYTES), problem: null }
    if (format === null) return end(unknown(name, layers, head, keyFile))
    if (layers.length === MAX_LAYERS) {
      return end(
        new RestoreError('source_unknown', `${name} is wrapped more than ${MAX_LAYERS} times: ${layers.join(', ')}`),
      )
    }
    layers.push(format)
    const needsKey = ENCRYPTED.has(format)
    if (needsKey && keyFile === null) return end(new RestoreError('key_missing', `${name} is encrypted with ${format}`))
    const filtered = await filterHead(
      filters(format, needsKey ? keyFile : null),
      head,
      Math.max(PEEK_BYTES, first.length),
    )
    // Noise, which a wrong key gives, may begin as any format does.
    if (filtered.output.length === 0)
      return end(layers.at(-2) === 'openssl' ? decryptsToNoise(name) : gaveNothing(name, format, filtered))
    head = filtered.output
  }
}

/** The layers that no magic bytes tell: one is tried with the key, and the name tells the other. */
function withoutMagic(
  name: string,
  layers: readonly OuterFormat[],
  head: Buffer,
  keyFile: string | null,
): OuterFormat | null {
  if (keyFile !== null && openingKey(head, secretStreamKeys(readFileSync(keyFile))) !== null) return 'libsodium'
  return layers.includes('brotli') ? null : formatByName(name)
}

const decryptsToNoise = (name: string): RestoreError =>
  new RestoreError('wrong_key', `${name} decrypts to noise`, {
    hint: 'the key in --decrypt-key-file is wrong, or openssl encrypted with other options than -aes-256-cbc -pbkdf2',
  })

function unknown(name: string, layers: readonly OuterFormat[], head: Buffer, keyFile: string | null): RestoreError {
  const inner = layers.at(-1)
  const foreign = foreignFormat(head, layers.length === 0 ? name : '')
  if (foreign !== null) {
    const inside = layers.length > 0 ? `holds, in ${layers.join(', then ')},` : 'is'
    return new RestoreError('source_unknown', `${name} ${inside} ${foreign.what}`, { hint: foreign.hint })
  }
  if (inner === 'openssl') return decryptsToNoise(name)
  if (inner)
    return new RestoreError('source_unknown', `what ${layers.join(', then ')} unpacks ${name} to is no xbstream`)
  const isNamed = layers.length === 0 && /\.(?:zst|lz4|gz|lzma|br)$/.test(name)
  const key = keyFile === null ? 'give its key with --decrypt-key-file' : '--decrypt-key-file holds another key'
  const hint = isNamed ? { hint: `its name says how it is packed: if libsodium encrypts it, as wal-g can, ${key}` } : {}
  return new RestoreError('source_unknown', `the first bytes of ${name} are of no known format`, hint)
}

function gaveNothing(name: string, format: OuterFormat, { ended, stderr }: FilteredHead): RestoreError {
  if (ended) return new RestoreError('source_empty', `${format} unpacks ${name} to no bytes at all`)
  const { code, ...hint } = filterFailure(format, stderr)
  const what = code === 'wrong_key' ? `cannot decrypt ${name} with this key` : `cannot read the first bytes of ${name}`
  return new RestoreError(code, `${format} ${what}`, { lastWords: lastLines(stderr), ...hint })
}
