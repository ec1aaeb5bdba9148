import { createStreamTally, type StreamContents, streamError } from '../backup/stream-tally.ts'
import { MAX_HEADER_BYTES, parseChunkHeader } from '../backup/xbstream-chunk.ts'
import type { RestoreError } from '../errors.ts'
import type { FileAccess } from './source.ts'

export interface HopOptions {
  /** What errors call the stream. */
  name: string
  storedBytes: number
  onProgress?: ((doneBytes: number) => void) | undefined
  signal?: AbortSignal | undefined
}

/**
 * Reads an xbstream that lies in a file by its chunk headers alone: one read each, over the payload to the next, so
 * 1 TB in chunks of 10 MB costs 100,000 reads. The payloads of metadata files are read as well; checksums are not
 * looked at. What is wrong with the stream (`source_corrupt`, `source_truncated`) comes back beside what was found.
 */
export async function copyThroughFilter(
  file: FileAccess,
  { name, storedBytes, onProgress, signal }: HopOptions,
): Promise<{ contents: StreamContents; problem: RestoreError | null }> {
  const tally = createStreamTally()
  const ended = (problem: RestoreError | null) => ({ contents: tally.result(), problem })
  const buffer = Buffer.alloc(MAX_HEADER_BYTES)
  let at = 0
  while (at < storedBytes) {
    signal?.throwIfAborted()
    const head = buffer.subarray(0, await file.readAt(buffer, at))
    const parsed = parseChunkHeader(head)
    if (parsed.kind === 'bad') return ended(streamError('source_corrupt', name, parsed.reason, at))
    if (parsed.kind === 'more') return ended(streamError('source_truncated', name, 'it ends inside a chunk header', at))
    const { header } = parsed
    const payloadAt = at + header.headerBytes + header.mapBytes
    const next = payloadAt + header.payloadBytes
    if (next > storedBytes) {
      const what = `it ends inside a chunk of ${header.path}, ${next - storedBytes} bytes short,`
      return ended(streamError('source_truncated', name, what, storedBytes))
    }
    tally.add(header)
    if (tally.wants(header)) {
      const payload = Buffer.alloc(header.payloadBytes)
      await file.readAt(payload, payloadAt)
      tally.keep(header, payload)
    }
    at = next
    onProgress?.(at)
  }
  const [open] = tally.open()
  return ended(open === undefined ? null : streamError('source_truncated', name, `it ends before ${open} is whole`, at))
}
