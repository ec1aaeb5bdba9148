import { stripVTControlCharacters } from 'node:util'
import { displayWidth } from './text-line.ts'

/**
 * Keeps a few lines at the bottom of a terminal up to date by relative movement only. The cursor rests below the last
 * line, so that whatever else is printed lands there. Only lines that changed are written again. On a resize most
 * terminals wrap the lines that no longer fit: the rows they take then are counted from their widths, and all is
 * painted anew from there.
 */
export interface Screen {
  /** The bytes that turn what is shown into `lines`, with `above` printed for good over them. */
  update(lines: readonly string[], above?: readonly string[]): string
  /** The terminal now has so many columns. */
  resize(columns: number): void
}

export function createScreen(): Screen {
  let shown: readonly string[] = []
  let columns = Number.POSITIVE_INFINITY
  let torn = false

  const rowsOf = (line: string) => Math.max(1, Math.ceil(displayWidth(stripVTControlCharacters(line)) / columns))

  function paintAll(lines: readonly string[], above: readonly string[]): string {
    const rows = shown.reduce((sum, line) => sum + rowsOf(line), 0)
    return `${up(rows)}\r${[...above, ...lines].map(line => `${line}\x1b[K\n`).join('')}\x1b[J`
  }

  function paintChanges(lines: readonly string[]): string {
    let output = ''
    for (const [index, line] of lines.entries()) {
      if (line === shown[index]) continue
      const distance = lines.length - index
      output += `${up(distance)}\r${line}\x1b[K${down(distance)}\r`
    }
    return output
  }

  return {
    update(lines, above = []) {
      const changesOnly = !torn && above.length === 0 && lines.length === shown.length
      const output = changesOnly ? paintChanges(lines) : paintAll(lines, above)
      shown = lines
      torn = false
      return output
    },
    resize(now) {
      columns = now
      torn = true
    },
  }
}

const up = (rows: number) => (rows > 0 ? `\x1b[${rows}A` : '')
const down = (rows: number) => (rows > 0 ? `\x1b[${rows}B` : '')
