import { type NameFacts, NO_NAMES, withName } from './name-facts.ts'
import { createStreamTally } from './stream-tally.ts'
import { parseChunkHeader } from './xbstream-chunk.ts'

/** What the first bytes of an xbstream show. */
export interface StreamHead {
  /** In the order of their first chunk; the last may be cut short in its data, never in its name. */
  files: readonly string[]
  names: NameFacts
  /** A path that must not be written, and where; null where there is none. */
  unsafe: string | null
  /** Metadata files, as far as the head holds them, by their path and packed as they are. */
  metadata: ReadonlyMap<string, Buffer>
}

/** Reads chunk headers to the end of `head`. A wrong magic ends it; a full read of the stream finds the error. */
export function readStreamHead(head: Buffer): StreamHead {
  const files = new Set<string>()
  let names = NO_NAMES
  let at = 0
  let unsafe: string | null = null
  const tally = createStreamTally()
  while (at < head.length) {
    const parsed = parseChunkHeader(head.subarray(at))
    if (parsed.kind === 'bad' && parsed.unsafe) unsafe = `${parsed.reason} at byte ${at}`
    if (parsed.kind !== 'chunk') break
    const { header } = parsed
    if (!files.has(header.path)) names = withName(names, header.path)
    files.add(header.path)
    const payloadAt = at + header.headerBytes + header.mapBytes
    at = payloadAt + header.payloadBytes
    if (tally.wants(header) && at <= head.length) tally.keep(header, head.subarray(payloadAt, at))
  }
  return { files: [...files], names, unsafe, metadata: tally.result().metadata }
}
