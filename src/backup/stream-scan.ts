import { crc32 } from 'node:zlib'
import { createStreamTally, type StreamContents, streamError } from './stream-tally.ts'
import { type ChunkHeader, MAX_HEADER_BYTES, parseChunkHeader } from './xbstream-chunk.ts'

/**
 * Reads a whole xbstream that arrives in pieces and checks every chunk's checksum. Memory stays below 2 MiB: of the
 * bytes only an unfinished header and the metadata files are kept.
 *
 * It is in one of two states: between chunks, where bytes gather until a header is whole; or inside a chunk, where
 * they are counted and summed.
 */
export interface StreamScan {
  /** Throws `source_corrupt` where the bytes are no xbstream or a checksum is wrong. */
  push(piece: Buffer): void
  /** Throws `source_truncated` where the stream ends inside a chunk or before a file is whole. */
  end(): void
  /** What was found so far, also after an error. */
  result(): StreamContents
}

interface OpenChunk {
  header: ChunkHeader
  /** Of map and payload. */
  leftBytes: number
  crc: number
  kept: Buffer[] | null
  at: number
}

/** `name` is what errors call the stream. */
export function createStreamScan(name: string): StreamScan {
  const tally = createStreamTally()
  let rest: Buffer = Buffer.alloc(0)
  let at = 0
  let chunk: OpenChunk | null = null

  /** Takes the header at the start of `bytes`; null when more is needed. */
  function takeHeader(bytes: Buffer): number | null {
    const parsed = parseChunkHeader(bytes.subarray(0, MAX_HEADER_BYTES))
    if (parsed.kind === 'bad') throw streamError('source_corrupt', name, parsed.reason, at)
    if (parsed.kind === 'more') return null
    const { header } = parsed
    const leftBytes = header.mapBytes + header.payloadBytes
    chunk = { header, leftBytes, crc: 0, kept: tally.wants(header) ? [] : null, at }
    return header.headerBytes
  }

  function takePayload(open: OpenChunk, bytes: Buffer): number {
    const part = bytes.subarray(0, open.leftBytes)
    open.crc = crc32(part, open.crc)
    open.leftBytes -= part.length
    // the caller may reuse the memory of the piece
    open.kept?.push(Buffer.from(part))
    return part.length
  }

  function finish({ header, crc, kept, at: start }: OpenChunk): void {
    if (header.crc32 !== null && header.crc32 !== crc) {
      throw streamError('source_corrupt', name, `wrong checksum of a chunk of ${header.path}`, start)
    }
    tally.add(header)
    if (kept) tally.keep(header, Buffer.concat(kept).subarray(header.mapBytes))
    chunk = null
  }

  function consume(bytes: Buffer): Buffer {
    let left = bytes
    while (left.length > 0 || chunk?.leftBytes === 0) {
      const taken: number | null = chunk ? takePayload(chunk, left) : takeHeader(left)
      if (taken === null) return left
      left = left.subarray(taken)
      at += taken
      if (chunk?.leftBytes === 0) finish(chunk)
    }
    return left
  }

  return {
    push(piece) {
      rest = Buffer.from(consume(rest.length > 0 ? Buffer.concat([rest, piece]) : piece))
    },
    end() {
      if (chunk) throw streamError('source_truncated', name, `it ends inside a chunk of ${chunk.header.path}`, at)
      if (rest.length > 0) throw streamError('source_truncated', name, 'it ends inside a chunk header', at)
      const [open] = tally.open()
      if (open !== undefined) throw streamError('source_truncated', name, `it ends before ${open} is whole`, at)
    },
    result: tally.result,
  }
}
