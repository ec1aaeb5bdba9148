/**
 * Keeps a log that another process appends to from filling the disk.
 *
 * Above a cap, the middle of what has been read is given back to the file system by punching a hole: offsets stay, the
 * writer appends on, only blocks far behind it are touched. The beginning and the end (how it began, how it went just
 * now) stay. The hole begins and ends at the start of a line, so that no two half lines meet, and grows only at its end.
 * It is noted in a file beside the log: who reads the log again from the start jumps over it. Without the note the NULs
 * that a hole reads as would have to be skipped one by one.
 *
 * Best effort: where fallocate(1) or the file system cannot punch holes, the log grows.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { execa } from 'execa'

export interface FreedMiddle {
  /** Where reading goes on from this offset: behind the hole if it is inside. */
  skip(offset: number): number
  /** Bytes from this offset until the hole begins; Infinity where none is ahead. */
  bytesUntilHole(offset: number): number
  /** To be called with everything read, in order; `end` is the offset behind the chunk. */
  passed(chunk: Buffer, end: number): Promise<void>
}

interface Hole {
  start: number
  end: number
}

const LF = 0x0a

export const holePath = (logPath: string): string => `${logPath}.hole`

export function createFreedMiddle(logPath: string, capBytes: number, keepBytes: number): FreedMiddle {
  let hole = readHole(logPath)
  let canPunch = true
  // Starts of lines: the newest read, one at least keepBytes before it, and one at least keepBytes before that.
  let newest = 0
  let middle = 0
  let oldest = 0

  const free = async (end: number) => {
    const { start, end: from } = hole!
    const args = ['--punch-hole', '--offset', String(from), '--length', String(end - from), logPath]
    canPunch = !(await execa('fallocate', args, { stdio: 'ignore', reject: false })).failed
    if (!canPunch) return
    hole = { start, end }
    writeHole(logPath, hole)
  }

  return {
    skip: offset => (hole !== null && offset >= hole.start && offset < hole.end ? hole.end : offset),

    bytesUntilHole: offset =>
      hole !== null && offset < hole.start && hole.end > hole.start ? hole.start - offset : Infinity,

    async passed(chunk, end) {
      const newline = chunk.lastIndexOf(LF)
      if (newline !== -1) newest = end - chunk.length + newline + 1
      else if (end - newest > keepBytes) newest = end // a line that long is cut anyway, there is no use in sparing it
      if (newest - middle >= keepBytes) [oldest, middle] = [middle, newest]
      if (hole === null && newest >= keepBytes) hole = { start: newest, end: newest }
      if (!canPunch || hole === null || oldest <= hole.end) return
      if (end - (hole.end - hole.start) > capBytes) await free(oldest)
    },
  }
}

function readHole(logPath: string): Hole | null {
  try {
    const [start, end] = readFileSync(holePath(logPath), 'latin1').split(' ').map(Number)
    return { start: start!, end: end! }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** After the hole is there: without a note it is only slow to read, but a note without a hole would hide lines. */
function writeHole(logPath: string, { start, end }: Hole): void {
  const path = holePath(logPath)
  writeFileSync(`${path}.tmp`, `${start} ${end}\n`, { mode: 0o600 })
  renameSync(`${path}.tmp`, path)
}
