/**
 * Follows the file that a tool writes its stderr to.
 *
 * A file, unlike a pipe, never makes the tool wait for the agent, and outlives the agent. It is read every 100 ms,
 * one buffer at a time, so that a flood of lines neither grows memory nor blocks the event loop. cap-file.ts limits
 * its size.
 */
import { closeSync, fstatSync, openSync, read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { createCapFile } from './cap-file.ts'
import { createLineSplitter, type Line } from './line-splitter.ts'
import { systemError } from './system-error.ts'

const read = promisify(readCallback)

export interface BatchInfo {
  /** Offset at which the open or next line begins: all lines before it were handed over. */
  lineStart: number
}

export interface StderrFollower {
  /** Reads to the present end, hands over the last line, closes. Rejects if a read or `onLines` has failed. */
  stop(): Promise<void>
}

export interface FollowOptions {
  intervalMs?: number
  /** No batch crosses this offset: the caller can tell lines that were read before from new ones. */
  border?: number
  /** Size on disk above which the middle is punched out, and bytes kept at each end. */
  capBytes?: number
  keepBytes?: number
}

const MiB = 1024 * 1024
const BUFFER_BYTES = 256 * 1024
const LF = 0x0a

/**
 * From the start of the file: `onLines` gets whole lines and, at each look, the open line where it has grown; no empty
 * batch.
 */
export function followStderr(
  path: string,
  onLines: (lines: Line[], info: BatchInfo) => void,
  { intervalMs = 100, border = 0, capBytes = 64 * MiB, keepBytes = MiB }: FollowOptions = {},
): StderrFollower {
  const fd = openForReading(path)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  // A count that is written number by number may never pause: the open line is offered at each look.
  const splitter = createLineSplitter({ quietMs: 0 })
  const cap = createCapFile(path, capBytes, keepBytes)
  let position = 0
  let lineStart = 0

  const handOver = (lines: Line[]) => {
    if (lines.length > 0) onLines(lines, { lineStart })
  }

  const drain = async (end: number) => {
    for (;;) {
      position = cap.skip(position)
      const toBorder = position < border ? border - position : BUFFER_BYTES
      const length = Math.min(BUFFER_BYTES, toBorder, end - position, cap.bytesUntilHole(position))
      const { bytesRead } = await read(fd, buffer, 0, Math.max(length, 0), position)
      if (bytesRead === 0) break
      const chunk = buffer.subarray(0, bytesRead)
      const lastEnd = chunk.lastIndexOf(LF)
      if (lastEnd >= 0) lineStart = position + lastEnd + 1
      position += bytesRead
      handOver(splitter.push(chunk, performance.now()))
      await cap.passed(chunk, position)
    }
    const partial = splitter.offerPartial(performance.now())
    if (partial) handOver([partial])
  }

  let failure: { error: unknown } | null = null
  let work: Promise<void> | null = null
  const tick = () => {
    if (work !== null || failure !== null) return
    work = drain(Number.POSITIVE_INFINITY)
      .catch(error => {
        failure = { error }
      })
      .finally(() => {
        work = null
      })
  }
  const timer = setInterval(tick, intervalMs)

  const finish = async () => {
    clearInterval(timer)
    await work
    try {
      if (failure !== null) throw systemError(failure.error, `cannot follow ${path}`)
      await drain(fstatSync(fd).size) // a grandchild may still write to it
      const last = splitter.flush()
      if (last) handOver([last])
    } finally {
      closeSync(fd)
    }
  }
  let finished: Promise<void> | null = null
  return {
    stop() {
      finished ??= finish()
      return finished
    },
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw systemError(error, `cannot read ${path}`)
  }
}
