import { type ErrorCode, RestoreError } from '../errors.ts'
import { createDeltaPairs, type UnpairedDeltas } from './delta-pairs.ts'
import { metadataRole } from './file-name.ts'
import { type NameFacts, NO_NAMES, withName } from './name-facts.ts'
import type { ChunkHeader } from './xbstream-chunk.ts'

/** No real metadata file is near this; a larger one is not read. */
const METADATA_LIMIT_BYTES = 1 << 20

/** What a whole xbstream holds, chunk by chunk. Memory: the names of files between their first and their last chunk. */
export interface StreamTally {
  /** Counts one chunk. */
  add(header: ChunkHeader): void
  /** Whether the payload of this chunk is metadata to be handed to `keep`. */
  wants(header: ChunkHeader): boolean
  keep(header: ChunkHeader, payload: Buffer): void
  /** Names of files whose `E` chunk has not come. */
  open(): string[]
  result(): StreamContents
}

export interface StreamContents {
  names: NameFacts
  /** Files that ended; one that mbstream writes a second time counts twice. */
  files: number
  payloadBytes: number
  /** Metadata files by their path in the stream, packed as they were. */
  metadata: ReadonlyMap<string, Buffer>
  unpaired: UnpairedDeltas
}

export function createStreamTally(): StreamTally {
  const open = new Set<string>()
  const metadata = new Map<string, Buffer>()
  const deltas = createDeltaPairs()
  let names = NO_NAMES
  let files = 0
  let payloadBytes = 0

  const named = (path: string) => {
    names = withName(names, path)
    deltas.add(path)
  }
  const wants = ({ path, payloadBytes: bytes, offset }: ChunkHeader): boolean =>
    bytes > 0 && offset + bytes <= METADATA_LIMIT_BYTES && metadataRole(path) !== null

  return {
    wants,
    add({ type, path, newPath, payloadBytes: bytes }) {
      if (type === 'ignorable') return
      payloadBytes += bytes
      if (type === 'payload' || type === 'sparse') {
        if (!open.has(path)) named(path)
        open.add(path)
      } else if (type === 'end') {
        // A file without a byte has only this chunk.
        if (!open.delete(path)) named(path)
        files += 1
      } else if (type === 'remove') {
        if (!open.delete(path)) files = Math.max(0, files - 1)
      } else if (type === 'rename' && open.delete(path)) {
        open.add(newPath!)
      }
    },
    keep({ path, offset }, payload) {
      const before = metadata.get(path) ?? Buffer.alloc(0)
      metadata.set(path, Buffer.concat([before.subarray(0, offset), payload]))
    },
    open: () => [...open],
    result: () => ({ names, files, payloadBytes, metadata, unpaired: deltas.result() }),
  }
}

/** An error at a place of the stream; `at` counts the bytes of the decoded stream from 0. */
export const streamError = (code: ErrorCode, name: string, what: string, at: number): RestoreError =>
  new RestoreError(code, `${name}: ${what} at byte ${at}`)
