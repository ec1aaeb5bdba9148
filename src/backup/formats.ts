import { isOpenPgp } from './openpgp.ts'

/** Formats of a stream, recognised by its first bytes. */
export type StreamFormat = 'xbstream' | OuterFormat
/** Layers around an xbstream. */
export const OUTER_FORMATS = [
  'zstd',
  'gzip',
  'lz4',
  'bzip2',
  'xz',
  'lzma',
  'brotli',
  'openssl',
  'gpg',
  'libsodium',
] as const
export type OuterFormat = (typeof OUTER_FORMATS)[number]
/** The layers that need a key. */
export const ENCRYPTED: ReadonlySet<StreamFormat> = new Set<StreamFormat>(['openssl', 'gpg', 'libsodium'])

const MAGIC: readonly (readonly [StreamFormat, Buffer])[] = [
  ['xbstream', Buffer.from('XBSTCK01')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['lz4', Buffer.from('04224d18', 'hex')],
  // What `lz4 -l` and old Hadoop tools write.
  ['lz4', Buffer.from('02214c18', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['openssl', Buffer.from('Salted__')],
  ['gpg', Buffer.from('-----BEGIN PGP MESSAGE-----')],
]
const BZIP2_BLOCK = Buffer.from('314159265359', 'hex')
const BZIP2_END = Buffer.from('177245385090', 'hex')

/** Of brotli, which has no magic bytes, the name of the object is all there is. */
export const formatByName = (name: string): OuterFormat | null =>
  /\.br(?:\.(?:gpg|pgp|asc|enc))?$/.test(name) ? 'brotli' : null

/**
 * The format of a stream by its magic bytes; null for anything else. 64 bytes are enough, but for zstd or lz4 behind
 * skippable frames (pzstd begins with one), which are followed as far as `head` goes.
 */
export function detectFormat(head: Buffer): StreamFormat | null {
  const found = MAGIC.find(([, magic]) => startsWith(head, magic))
  if (found) return found[0]
  if (isGzip(head)) return 'gzip'
  if (isBzip2(head)) return 'bzip2'
  if (isLzma(head)) return 'lzma'
  if (isSkippable(head)) return behindSkippable(head)
  return isOpenPgp(head) ? 'gpg' : null
}

/** Deflate is gzip's only method, and its three upper flags are reserved (RFC 1952). */
const isGzip = (head: Buffer): boolean =>
  head.length >= 4 && head[0] === 0x1f && head[1] === 0x8b && head[2] === 8 && (head[3]! & 0xe0) === 0

const isBzip2 = (head: Buffer): boolean =>
  /^BZh[1-9]$/.test(head.toString('latin1', 0, 4)) &&
  (startsWith(head.subarray(4), BZIP2_BLOCK) || startsWith(head.subarray(4), BZIP2_END))

/**
 * The header of lzma alone (LZMA SDK, lzma-specification.txt): properties, a dictionary of whole 4 KiB, a size that is
 * unknown or below 2^48; the coder's first byte is 0. `5d` are the properties that every tool writes.
 */
const isLzma = (head: Buffer): boolean => {
  if (head.length < 14 || head[0] !== 0x5d || head[13] !== 0) return false
  const dictionaryBytes = head.readUInt32LE(1)
  const size = head.readBigUInt64LE(5)
  return dictionaryBytes >= 4096 && dictionaryBytes % 4096 === 0 && (size === 2n ** 64n - 1n || size < 2n ** 48n)
}

const isSkippable = (head: Buffer): boolean =>
  head.length >= 8 && (head.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50

/** zstd and lz4 share the skippable frame; one that reaches beyond the head is taken for zstd's, where it is in use. */
function behindSkippable(head: Buffer): StreamFormat | null {
  let at = 0
  while (isSkippable(head.subarray(at))) at += 8 + head.readUInt32LE(at + 4)
  if (at + 4 > head.length) return 'zstd'
  const next = detectFormat(head.subarray(at, at + 8))
  return next === 'zstd' || next === 'lz4' ? next : null
}

const startsWith = (bytes: Buffer, magic: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic)
