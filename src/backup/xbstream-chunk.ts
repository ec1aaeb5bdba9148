import { unsafePath } from './stream-path.ts'

/**
 * The chunks of an xbstream. All numbers are little-endian.
 *
 * "XBSTCK01" flags 1 type 1 path length 4 path P, payload: length 8, offset 8, crc32 4, payload S, sparse (xtrabackup):
 *   map entries 4, length 8, offset 8, crc32 of map and payload 4, map of 8 bytes an entry, payload S, seek (mbstream):
 *   offset 8 E, end of the file; D, file removed (mbstream): nothing more R, renamed (mbstream): path length 4, new
 *   path
 *
 * The two meanings of S are told apart by what comes 8 bytes later: after a seek that is the next chunk's magic, which
 * in a sparse chunk would be a length of 10^18 bytes. mbstream's types were found by feeding it every letter
 * (10.11.19).
 */
export type ChunkType = 'payload' | 'sparse' | 'seek' | 'end' | 'remove' | 'rename' | 'ignorable'

export interface ChunkHeader {
  type: ChunkType
  path: string
  /** Of a `rename` only. */
  newPath: string | null
  /** From the magic to the first byte of map or payload. */
  headerBytes: number
  /** Sparse map, in front of the payload. */
  mapBytes: number
  payloadBytes: number
  /** Where in the file the payload goes. */
  offset: number
  /** Of map and payload; null where the type has none. */
  crc32: number | null
}

/** Enough for the longest header (path and new path of 511 bytes) with the look-ahead of a seek. */
export const MAX_HEADER_BYTES = 1100

const MAGIC = Buffer.from('XBSTCK01')
const FIXED_BYTES = 14
/** Both tools refuse longer paths (FN_REFLEN). */
const PATH_LIMIT = 512
const IGNORABLE = 0x01

export type ChunkParse =
  | { kind: 'chunk'; header: ChunkHeader }
  /**
   * The header, or the bytes that identify a seek, continues behind the bytes given; at the end of a stream: it is
   * truncated.
   */
  | { kind: 'more' }
  /** `unsafe`: the path must not be written. */
  | { kind: 'bad'; reason: string; unsafe?: true }

/** Parses the header that begins at `bytes[0]`. */
export function parseChunkHeader(bytes: Buffer): ChunkParse {
  const magic = bytes.subarray(0, MAGIC.length)
  if (!magic.equals(MAGIC.subarray(0, magic.length))) return { kind: 'bad', reason: 'wrong chunk magic' }
  if (bytes.length < FIXED_BYTES) return { kind: 'more' }
  const flags = bytes[8]!
  const letter = String.fromCharCode(bytes[9]!)
  const pathEnd = FIXED_BYTES + bytes.readUInt32LE(10)
  if (pathEnd - FIXED_BYTES >= PATH_LIMIT) return { kind: 'bad', reason: 'a path of 512 bytes or more' }
  if (!'PSEDR'.includes(letter) && !(flags & IGNORABLE)) {
    return { kind: 'bad', reason: `unknown chunk type 0x${bytes[9]!.toString(16)}` }
  }
  if (bytes.length < pathEnd) return { kind: 'more' }
  const path = bytes.toString('utf8', FIXED_BYTES, pathEnd)
  const unsafe = unsafePath(path)
  if (unsafe !== null) return { kind: 'bad', reason: unsafe, unsafe: true }
  switch (letter) {
    case 'E':
      return chunk('end', path, pathEnd)
    case 'D':
      return chunk('remove', path, pathEnd)
    case 'R':
      return parseRename(bytes, path, pathEnd)
    case 'S':
      return parseSeekOrSparse(bytes, path, pathEnd)
    default:
      return parsePayload(bytes, letter === 'P' ? 'payload' : 'ignorable', path, pathEnd, 0)
  }
}

function parseRename(bytes: Buffer, path: string, at: number): ChunkParse {
  if (bytes.length < at + 4) return { kind: 'more' }
  const end = at + 4 + bytes.readUInt32LE(at)
  if (end - at - 4 >= PATH_LIMIT) return { kind: 'bad', reason: 'a path of 512 bytes or more' }
  if (bytes.length < end) return { kind: 'more' }
  const newPath = bytes.toString('utf8', at + 4, end)
  const unsafe = unsafePath(newPath)
  if (unsafe !== null) return { kind: 'bad', reason: unsafe, unsafe: true }
  return chunk('rename', path, end, { newPath })
}

function parseSeekOrSparse(bytes: Buffer, path: string, at: number): ChunkParse {
  const next = bytes.subarray(at + 8, at + 8 + MAGIC.length)
  if (next.equals(MAGIC)) {
    return chunk('seek', path, at + 8, { offset: Number(bytes.readBigUInt64LE(at)) })
  }
  if (next.length < MAGIC.length) return { kind: 'more' }
  return parsePayload(bytes, 'sparse', path, at + 4, 8 * bytes.readUInt32LE(at))
}

function parsePayload(bytes: Buffer, type: ChunkType, path: string, at: number, mapBytes: number): ChunkParse {
  if (bytes.length < at + 20) return { kind: 'more' }
  const payloadBytes = Number(bytes.readBigUInt64LE(at))
  const offset = Number(bytes.readBigUInt64LE(at + 8))
  if (!Number.isSafeInteger(payloadBytes + mapBytes)) return { kind: 'bad', reason: 'an impossible chunk length' }
  return chunk(type, path, at + 20, { mapBytes, payloadBytes, offset, crc32: bytes.readUInt32LE(at + 16) })
}

function chunk(type: ChunkType, path: string, headerBytes: number, rest: Partial<ChunkHeader> = {}): ChunkParse {
  const empty = { newPath: null, mapBytes: 0, payloadBytes: 0, offset: 0, crc32: null }
  return { kind: 'chunk', header: { ...empty, ...rest, type, path, headerBytes } }
}
