/**
 * Follows the file a tool writes its stderr to, and keeps it from filling the disk.
 *
 * A file, unlike a pipe, never makes the tool wait for us, and survives us. It is read every 100 ms, one buffer at a
 * time, so that a flood neither grows memory nor holds the event loop. It does not fill the disk: see cap-file.ts.
 */
import { closeSync, fstatSync, openSync, read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { createFreedMiddle } from './cap-file.ts'
import { createLineSplitter, type Line } from './line-splitter.ts'
import { systemError } from './system-error.ts'

const read = promisify(readCallback)

export interface BatchInfo {
  /** Read for this batch. */
  bytes: number
  /** Where in the file reading stands: everything before has been handed over or is in the open line. */
  offset: number
  /** Where the open line begins, or the next one will: all lines that end before it have been handed over. */
  lineStart: number
}

export interface StderrFollower {
  /** Reads what was written until now, hands over the last line, closes. Rejects if reading or `onLines` failed at any time. */
  stop(): Promise<void>
  /** Lines so far that were longer than 64 KiB and cut. */
  readonly cutLines: number
}

export interface FollowOptions {
  intervalMs?: number
  /** Where to begin, in bytes: 0 to see again all that is there. */
  startOffset?: number
  /** No batch reaches over this offset, so that who reads again can tell the lines before it from those after. */
  border?: number
  /** Size on disk above which the middle is given back. */
  capBytes?: number
  /** Bytes kept at each end. */
  keepBytes?: number
}

const MiB = 1024 * 1024
const BUFFER_BYTES = 256 * 1024
const LF = 0x0a

/** `onLines` gets whole lines as they come and, after an interval of quiet, the open line; never an empty batch. */
export function followStderr(
  path: string,
  onLines: (lines: Line[], info: BatchInfo) => void,
  { intervalMs = 100, startOffset = 0, border = 0, capBytes = 64 * MiB, keepBytes = MiB }: FollowOptions = {},
): StderrFollower {
  const fd = openForReading(path)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  const splitter = createLineSplitter({ quietMs: intervalMs * 0.9 }) // one look without a byte; timers are not exact
  const freed = createFreedMiddle(path, capBytes, keepBytes)
  let position = startOffset
  let lineStart = startOffset

  const hand = (lines: Line[], bytes: number) => {
    if (lines.length > 0) onLines(lines, { bytes, offset: position, lineStart })
  }

  /** Each read is awaited, which lets everything else have its turn. */
  const drain = async (end: number) => {
    for (;;) {
      position = freed.skip(position)
      const toBorder = position < border ? border - position : BUFFER_BYTES
      const length = Math.min(BUFFER_BYTES, toBorder, end - position, freed.bytesUntilHole(position))
      const { bytesRead } = await read(fd, buffer, 0, Math.max(length, 0), position)
      if (bytesRead === 0) break
      const chunk = buffer.subarray(0, bytesRead)
      const lastEnd = chunk.lastIndexOf(LF)
      if (lastEnd >= 0) lineStart = position + lastEnd + 1
      position += bytesRead
      hand(splitter.push(chunk, performance.now()), bytesRead)
      await freed.passed(chunk, position)
    }
    const partial = splitter.offerPartial(performance.now())
    if (partial) hand([partial], 0)
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
      await drain(fstatSync(fd).size) // not to the end of a file that a grandchild may still flood
      const last = splitter.flush()
      if (last) hand([last], 0)
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
    get cutLines() {
      return splitter.cutLines
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
