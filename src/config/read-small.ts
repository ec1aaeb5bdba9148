import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { readAtMost } from '../process/file-system.ts'

/** How long the shell's `<(…)` may take. */
const PIPE_WITHIN_MS = 10_000

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'may not be read by this user',
  ABORT_ERR: `gave nothing within ${PIPE_WITHIN_MS / 1000} s`,
}

/**
 * Reads a small text file: a regular file up to the given size, or a pipe of the shell. A FIFO without a writer would
 * block, a device or a huge file would fill the memory. `why` says why it cannot be read.
 */
export async function readSmall(
  path: string,
  what: 'a configuration' | 'a token',
  mostBytes: number,
): Promise<{ bytes: Buffer } | { why: string; cause?: unknown }> {
  try {
    const stats = await stat(path)
    const isPipe = stats.isFIFO() && /^\/(?:dev\/(?:fd\/|stdin$)|proc\/)/.test(path)
    if (stats.isDirectory()) return { why: 'is a directory' }
    if (!stats.isFile() && !isPipe) return { why: 'is a FIFO, a socket or a device' }
    const bytes = isPipe ? await fromPipe(path, mostBytes + 1) : readAtMost(path, mostBytes + 1)
    return bytes.length > mostBytes ? { why: `too large to be ${what}` } : { bytes }
  } catch (cause) {
    const code = String((cause as NodeJS.ErrnoException).code)
    return { why: WHY[code] ?? `cannot be read (${code})`, cause }
  }
}

async function fromPipe(path: string, mostBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of createReadStream(path, { end: mostBytes - 1, signal: AbortSignal.timeout(PIPE_WITHIN_MS) }))
    pieces.push(piece)
  return Buffer.concat(pieces)
}
