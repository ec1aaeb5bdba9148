/**
 * Splits bytes into lines, wherever the chunks are cut.
 *
 * A line ends at LF; a CR before it is dropped. Only whole lines are decoded, so no UTF-8 character is torn. NUL
 * bytes are skipped: a hole that was punched into the log reads as NULs (cap-file.ts). A line is cut at a cap, so a
 * tool that never ends its line costs no memory.
 *
 * Some tools print `1 2 3 …` for minutes before the newline. After a quiet time the open line is therefore offered as
 * it is, not complete, and again once it has grown. The caller passes the time.
 */

export interface Line {
  text: string
  /** False: the newline is still to come, and the line will be offered again, longer. */
  complete: boolean
}

export interface LineSplitter {
  /** The lines that end in this chunk. The caller may reuse the chunk. */
  push(chunk: Buffer, nowMs: number): Line[]
  /** The open line, after `quietMs` without bytes, unless it was offered at this length already. */
  offerPartial(nowMs: number): Line | null
  /** The open line at the end of the input; it counts as complete. */
  flush(): Line | null
  /** Lines so far that were longer than the cap. */
  readonly cutLines: number
}

export interface LineSplitterOptions {
  /** Longest line kept, in bytes without its newline. */
  capBytes?: number
  quietMs?: number
}

const LF = 0x0a
const CR = 0x0d

/** A splitter for one stream; holds at most `capBytes` (64 KiB by default). Times are milliseconds of one clock. */
export function createLineSplitter({ capBytes = 64 * 1024, quietMs = 100 }: LineSplitterOptions = {}): LineSplitter {
  const open = Buffer.allocUnsafe(capBytes)
  let openBytes = 0
  let isCut = false
  let isOffered = true
  let lastBytesAtMs = 0
  let cutLines = 0

  const keep = (chunk: Buffer, from: number, to: number) => {
    const kept = chunk.copy(open, openBytes, from, to)
    openBytes += kept
    isCut ||= kept < to - from
  }

  const take = (): Line => {
    const line = { text: decode(open, 0, openBytes, isCut), complete: true }
    if (isCut) cutLines++
    openBytes = 0
    isCut = false
    isOffered = true
    return line
  }

  return {
    push(raw, nowMs) {
      const chunk = withoutNuls(raw)
      const lines: Line[] = []
      if (chunk.length === 0) return lines
      lastBytesAtMs = nowMs
      let from = 0
      for (let to = chunk.indexOf(LF); to !== -1; to = chunk.indexOf(LF, from)) {
        if (openBytes === 0 && to - from <= capBytes) {
          lines.push({ text: decode(chunk, from, to, false), complete: true })
        } else {
          keep(chunk, from, to)
          lines.push(take())
        }
        from = to + 1
      }
      if (from < chunk.length) {
        const before = openBytes
        keep(chunk, from, chunk.length)
        isOffered = isOffered && openBytes === before
      }
      return lines
    },

    offerPartial(nowMs) {
      if (isOffered || nowMs - lastBytesAtMs < quietMs) return null
      isOffered = true
      return { text: decode(open, 0, openBytes, true), complete: false }
    },

    flush: () => (openBytes === 0 ? null : take()),

    get cutLines() {
      return cutLines
    },
  }
}

function decode(bytes: Buffer, from: number, to: number, mayEndInsideCharacter: boolean): string {
  let end = to
  if (end > from && bytes[end - 1] === CR) end--
  if (mayEndInsideCharacter) end -= bytesOfTornCharacter(bytes, from, end)
  return bytes.toString('utf8', from, end)
}

/** How many bytes at the end begin a UTF-8 character whose rest is missing. */
function bytesOfTornCharacter(bytes: Buffer, from: number, to: number): number {
  for (let back = 1; back <= 3 && to - back >= from; back++) {
    const byte = bytes[to - back]!
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return length > back ? back : 0
  }
  return 0
}

function withoutNuls(chunk: Buffer): Buffer {
  const first = chunk.indexOf(0)
  if (first === -1) return chunk
  const kept = Buffer.allocUnsafe(chunk.length)
  let length = chunk.copy(kept, 0, 0, first)
  for (let at = first; at < chunk.length; at++) {
    const byte = chunk[at]!
    if (byte !== 0) kept[length++] = byte
  }
  return kept.subarray(0, length)
}
