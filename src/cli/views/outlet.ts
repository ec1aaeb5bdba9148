/** What a view writes to: process.stdout, process.stderr, or a test's. */
export interface ViewStream {
  write(text: string): unknown
  on(event: 'error' | 'resize', listener: () => void): unknown
  off(event: 'error' | 'resize', listener: () => void): unknown
  readonly writableLength?: number
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** Beyond this nobody is reading: a paused terminal, a pipe into a program that sleeps. */
const MOST_WAITING_BYTES = 256 * 1024

/**
 * A stream that never fails or blocks the restore: errors (EPIPE) make it silent, and what a reader does not take in time
 * is left out. Node makes terminals block, and a terminal stopped with Ctrl-S would stop the restore; so that is
 * switched off while the view lives, and on again for the last words, which must not be lost when the process exits.
 */
export function openOutlet(stream: ViewStream) {
  let broken = false
  const onError = () => {
    broken = true
  }
  stream.on('error', onError)
  setBlocking(stream, false)
  return {
    /** False when it was left out. */
    write(text: string): boolean {
      if (broken || (stream.writableLength ?? 0) > MOST_WAITING_BYTES) return false
      if (text !== '') stream.write(text)
      return true
    },
    /** Writes no matter what waits already. The error listener stays: EPIPE may come late. */
    end(text: string): void {
      setBlocking(stream, true)
      if (!broken && text !== '') stream.write(text)
    },
  }
}

function setBlocking(stream: ViewStream, blocking: boolean): void {
  if (!stream.isTTY) return
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (blocking: boolean) => unknown } }
  handle?.setBlocking?.(blocking)
}
