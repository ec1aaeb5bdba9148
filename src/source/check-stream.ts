import { readSync, writeSync } from 'node:fs'
import { createStreamScan } from '../backup/stream-scan.ts'
import { toRestoreError } from '../errors.ts'

const PIECE_BYTES = 1 << 20

/**
 * A stage of its own process in front of an extractor that may write a hostile path: copies an xbstream from standard
 * input to standard output. The first path that must not be written, and the first wrong checksum, ends it before the
 * extractor has that chunk's header whole. As a process it outlives the agent as every tool does. Returns the exit
 * code.
 */
export function checkStream(input = 0, output = 1): number {
  const scan = createStreamScan('the stream')
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  try {
    for (;;) {
      const bytes = retried(() => readSync(input, buffer, 0, buffer.length, null))
      if (bytes === 0) return 0
      const piece = buffer.subarray(0, bytes)
      scan.push(piece)
      for (let done = 0; done < bytes; ) done += retried(() => writeSync(output, piece, done))
    }
  } catch (thrown) {
    const { code, message } = toRestoreError(thrown)
    const isConsumerGone = (thrown as NodeJS.ErrnoException).code === 'EPIPE'
    process.stderr.write(isConsumerGone ? 'write: Broken pipe\n' : `restore-agent: ${code}: ${message}\n`)
    return 1
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** A descriptor that somebody else made non-blocking is waited for. */
function retried<T>(call: () => T): T {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(sleeper, 0, 0, 2)
    }
  }
}
