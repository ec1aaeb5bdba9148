/** The uncompressed size of a compressed stream, as far as its first and last bytes give it; null otherwise. */

/**
 * The content size in the header of the first zstd frame (RFC 8878, 3.1.1.1), in bytes. zstd writes it when it knew the
 * size, so for a file but not for a pipe. Null as well where the size is below what is stored, because then more
 * frames must follow.
 */
export function zstdContentBytes(head: Buffer, storedBytes: number | null): number | null {
  if (head.length < 18 || head.readUInt32LE(0) !== 0xfd2fb528) return null
  const descriptor = head[4]!
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  const size = contentSize(head, at, descriptor >> 6, singleSegment)
  // A stored block costs 3 bytes in 128 KiB; 1/1000 and a header are more than any frame can add.
  return size !== null && storedBytes !== null && size * 1.001 + 64 >= storedBytes ? size : null
}

function contentSize(head: Buffer, at: number, code: number, singleSegment: boolean): number | null {
  if (code === 0) return singleSegment ? head[at]! : null
  if (code === 1) return head.readUInt16LE(at) + 256
  if (code === 2) return head.readUInt32LE(at)
  const size = Number(head.readBigUInt64LE(at))
  return Number.isSafeInteger(size) ? size : null
}

/** Deflate packs at most 1032 to 1. */
const GZIP_TRUSTED_BYTES = Math.floor(2 ** 32 / 1032)

/**
 * The size in gzip's trailer, in bytes. It counts modulo 4 GiB, so it is believed only of a file too small to hold that
 * much.
 */
export function gzipContentBytes(tail: Buffer, storedBytes: number | null): number | null {
  if (storedBytes === null || storedBytes < 18 || storedBytes > GZIP_TRUSTED_BYTES || tail.length < 4) return null
  return tail.readUInt32LE(tail.length - 4)
}
