import type { RestoreBody } from '../../server/api-schema.ts'

/** Shows a restore to a person or a program. Never throws or waits. */
export interface View {
  show(body: RestoreBody): void
  /** Prints how the restore ended and restores the terminal. A second call does nothing. */
  close(): void
}

/** What a view writes to: process.stdout or process.stderr; tests give their own. */
export interface ViewStream {
  write(text: string): unknown
  on(event: 'error' | 'resize', listener: () => void): unknown
  off(event: 'error' | 'resize', listener: () => void): unknown
  readonly writableLength?: number
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** With more than this unread, the reader has stopped: a paused terminal, a pipe into a program that sleeps. */
const MAX_UNREAD_BYTES = 256 * 1024

/**
 * Output that never fails or blocks the restore. After an error (EPIPE) it writes nothing more, and it drops what a
 * slow reader does not take. Node writes to terminals synchronously, so Ctrl-S would stop the restore; the terminal is
 * therefore non-blocking until the last text, which must not be lost when the process exits.
 */
export function openOutput(stream: ViewStream) {
  let broken = false
  const onError = () => {
    broken = true
  }
  stream.on('error', onError)
  setBlocking(stream, false)
  return {
    /** False when the text was dropped. */
    write(text: string): boolean {
      if (broken || (stream.writableLength ?? 0) > MAX_UNREAD_BYTES) return false
      if (text !== '') stream.write(text)
      return true
    },
    /** Writes whatever is still unread. The error listener stays, because EPIPE can come late. */
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
