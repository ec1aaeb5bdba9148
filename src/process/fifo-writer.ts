import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/**
 * The write end of a FIFO as a stream with backpressure; owns the descriptor. A stream of node:fs would block a thread
 * of libuv's pool of four on every write while the tool is slow, and could not be destroyed until the tool reads. A
 * socket makes our end non-blocking and waits in the event loop; the other end is another open file and stays blocking, as
 * tools expect. When the tool is gone a write fails with EPIPE, which rejects a stream.pipeline() into it.
 */
export function writeToFifo(writeFd: number): Writable {
  const stream = new Socket({ fd: writeFd, readable: false, writable: true })
  // The tool may end between two writes, while nobody listens. Its exit says why; a pipeline still sees the error.
  stream.on('error', () => {})
  return stream
}
