/** A tool's line without its prefixes. */
export interface ToolLine {
  text: string
  level: 'note' | 'warning' | 'error'
}

/**
 * Every prefix is optional and they come in any mixture:
 *   2026-01-15T03:00:00.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] text     xtrabackup from 8.0.28
 *   [00] 2026-11-23 06:11:09 text                                              mariadb-backup
 *   [00] FATAL ERROR: 2026-11-23 06:14:50 text
 *   2026-11-23  6:11:09 0 [Note] InnoDB: text                                   MariaDB's InnoDB
 *   190822 17:47:29 [01] text                                                  xtrabackup 2.4
 *   InnoDB: text    xtrabackup: text
 *   BEL mbstream: text                                                         errors of mysys ring the bell
 * The expression is anchored and its parts cannot overlap, so it never backtracks far.
 */
const PREFIX =
  /^\x07? {0,2}(?:\[\d+\] +)?(FATAL ERROR: )?(?:(?:\d{4}-\d\d-\d\d[T ]|\d{6}) ?\d{1,2}:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)? +)?(?:\[\d+\] +)?(?:0x[\da-f]+ +|\d+ (?=\[))?(?:\[(?:Note|System|(Warning|ERROR))\] )?(?:\[MY-\d+\] )?(?:\[\w+\] )?(?:(?:InnoDB|xtrabackup|xbstream|mariabackup|mariadb-backup|mbstream|xbcrypt): ?)?(Warning: |Error: |error: |FATAL ERROR: |Fatal error: )?/

export function parseToolLine(line: string): ToolLine {
  const found = PREFIX.exec(line)
  if (found === null) return { text: line, level: 'note' }
  const [prefix, fatal, level, word] = found
  return {
    text: line.slice(prefix.length),
    level:
      fatal !== undefined || level === 'ERROR' || (word !== undefined && word !== 'Warning: ')
        ? 'error'
        : level === 'Warning' || word !== undefined
          ? 'warning'
          : 'note',
  }
}

/** The number that begins at `index`, and -1 where there is none. Exact up to 2^53, which no LSN reaches. */
export function numberAt(text: string, index: number): number {
  let end = index
  while (end < text.length && text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 57) end++
  return end === index ? -1 : Number(text.slice(index, end))
}

/** The number after the first occurrence of `marker`, and -1 where there is none. */
export function numberAfter(text: string, marker: string): number {
  const at = text.indexOf(marker)
  return at < 0 ? -1 : numberAt(text, at + marker.length)
}
