import type { Grammar, ToolEvent } from './events.ts'
import { failureOrComplaint } from './failure-wording.ts'
import { fileWording, preparedWording } from './shared-wording.ts'
import { numberAfter, numberAt, parseToolLine } from './tool-line.ts'

const NOTHING: readonly ToolEvent[] = []

/**
 * What mariadb-backup says in --prepare, --move-back, --copy-back and --decompress; 10.11 and 11.8 alike, except that
 * 11.8 has no `Starting shutdown...`. It writes whole lines only, so an incomplete one is left until its newline is
 * there.
 */
export function mariadbBackupGrammar(): Grammar {
  const files = fileWording()

  return (line, complete) => {
    if (!complete) return NOTHING
    const parsed = parseToolLine(line)
    const event = recovery(parsed.text) ?? files(parsed.text) ?? preparedWording(parsed.text) ?? banner(parsed.text)
    if (event === 'known') return NOTHING
    return event === null ? failureOrComplaint(parsed) : [event]
  }
}

const MISSING_TABLESPACE = /^Tablespace \d+ was not found at /

/** The words of MariaDB's InnoDB while it recovers. */
function recovery(text: string): ToolEvent | null {
  if (text.startsWith('To recover: ')) return pagesLeft(text)
  if (text.startsWith('Read redo log up to LSN=')) {
    return { type: 'redo_scanned', lsn: numberAt(text, 24) }
  }
  if (text.startsWith('Starting crash recovery from checkpoint LSN=')) {
    return { type: 'checkpoint', lsn: numberAt(text, 44) }
  }
  if (text.startsWith('Multi-batch recovery needed at LSN ')) return { type: 'multi_batch', lsn: numberAt(text, 35) }
  if (text.startsWith('End of log at LSN=')) return { type: 'end_of_log', lsn: numberAt(text, 18) }
  if (MISSING_TABLESPACE.test(text)) return { type: 'missing_tablespace', text }
  if (text.startsWith('Starting shutdown...')) return { type: 'shutdown_started' }
  if (text.startsWith('Difficult to find free blocks')) return { type: 'starved' }
  return null
}

/** `To recover: LSN 546332813/3025368968; 3708 pages`, and in the last or only batch `To recover: 57 pages`. */
function pagesLeft(text: string): ToolEvent | null {
  if (!text.startsWith('LSN ', 12)) {
    const pages = numberAt(text, 12)
    return pages < 0 ? null : { type: 'pages_left', pages, lsn: null, endLsn: null }
  }
  const lsn = numberAt(text, 16)
  const endLsn = numberAfter(text, '/')
  const pages = numberAfter(text, '; ')
  return lsn < 0 || endLsn < 0 || pages < 0 ? null : { type: 'pages_left', pages, lsn, endLsn }
}

/** `mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)`, after argv[0]. */
function banner(text: string): ToolEvent | null {
  const at = text.indexOf('based on MariaDB server ')
  return at < 0 ? null : { type: 'version', version: text.slice(at + 24).split(' ', 1)[0] ?? '' }
}
