/**
 * Keeps a log that another process appends to from filling the disk.
 *
 * Above a cap, the middle of what was read is given back to the file system: fallocate(1) punches a hole. Offsets
 * stay, the writer appends as before, and only blocks far behind it are touched. The beginning and the end of the log
 * stay. The hole starts and ends at the start of a line, so that no two half lines meet, and grows only at its end. A
 * file beside the log records it: a later reader skips the hole instead of reading its NULs.
 *
 * Best effort: the log grows where fallocate(1) is missing or the file system cannot punch holes.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { execa } from 'execa'

export interface CapFile {
  /** Where reading continues from this offset: behind the hole if the offset is inside it. */
  skip(offset: number): number
  /** Bytes from this offset to the start of the hole; Infinity where no hole follows. */
  bytesUntilHole(offset: number): number
  /** Takes everything read, in order; `end` is the offset behind the chunk. */
  passed(chunk: Buffer, end: number): Promise<void>
}

interface Hole {
  start: number
  end: number
}

const LF = 0x0a

export const holePath = (logPath: string): string => `${logPath}.hole`

/** Punches once the log takes more than `capBytes` on disk; `keepBytes` stay at each end. */
export function createCapFile(logPath: string, capBytes: number, keepBytes: number): CapFile {
  let hole = readHole(logPath)
  let canPunch = true
  // Three starts of lines, at least keepBytes apart.
  let newest = 0
  let middle = 0
  let oldest = 0

  const punch = async ({ start, end: from }: Hole, end: number) => {
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
      else if (end - newest > keepBytes) newest = end // the line splitter cuts a line of this length anyway
      if (newest - middle >= keepBytes) [oldest, middle] = [middle, newest]
      if (hole === null && newest >= keepBytes) hole = { start: newest, end: newest }
      if (!canPunch || hole === null || oldest <= hole.end) return
      if (end - (hole.end - hole.start) > capBytes) await punch(hole, oldest)
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

/** Written after the punch: a hole without a record reads slowly, a record without a hole would hide lines. */
function writeHole(logPath: string, { start, end }: Hole): void {
  const path = holePath(logPath)
  writeFileSync(`${path}.tmp`, `${start} ${end}\n`, { mode: 0o600 })
  renameSync(`${path}.tmp`, path)
}
