import { read } from 'node:fs'
import { promisify } from 'node:util'
import { unreadable } from './unreadable.ts'

const readAsync = promisify(read)
const PIECE_BYTES = 1 << 20

/** A part of an open regular file, read by position, so that the descriptor's own position never moves. */
export interface PositionedFile {
  readAt(buffer: Buffer, position: number): Promise<number>
  peek(bytes: number): Promise<Buffer>
  bytes(): AsyncIterable<Buffer>
}

/** `startOffset` is where position 0 lies in the file of `fd`. */
export function positionedFile(name: string, fd: number, startOffset: number): PositionedFile {
  /** Short reads happen on network file systems and where a signal came; only 0 is the end. */
  async function readAt(buffer: Buffer, position: number): Promise<number> {
    let filled = 0
    while (filled < buffer.length) {
      const { bytesRead } = await readAsync(
        fd,
        buffer,
        filled,
        buffer.length - filled,
        startOffset + position + filled,
      ).catch(thrown => {
        throw unreadable(name, thrown)
      })
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return filled
  }
  async function readPiece(bytes: number, position: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(bytes)
    return buffer.subarray(0, await readAt(buffer, position))
  }
  return {
    readAt,
    peek: bytes => readPiece(bytes, 0),
    async *bytes() {
      let position = 0
      for (;;) {
        const piece = await readPiece(PIECE_BYTES, position)
        if (piece.length === 0) return
        position += piece.length
        yield piece
      }
    },
  }
}
