/**
 * What xtrabackup prints in --prepare, --move-back and --decompress, 2.4 to 9.x.
 *
 * A whole line is told by its beginning, after its prefixes. Three kinds of line are counts, which the tool writes
 * number by number. Their newline may be hours away, so they are read while they grow:
 *
 * - `InnoDB: Progress in percent: 0 1 2 `…: an apply batch of 2.4;
 * - `InnoDB: Progress in percents: 1`, ` 2`, ` 3`…: a rollback, whose newline never comes;
 * - `InnoDB: Progress in MB:\n`, ` 100`, ` 200`…: a new redo file of 2.4.
 *
 * Other threads print in between. Their prefix or timestamp is glued to the last number (`4InnoDB: …`,
 * `1002026-01-15T…`, `100261127 15:56:20 …`), and the count continues on the next line. Numbers only grow, so a number
 * above the last one is new. The last number of an unfinished line may be unfinished itself (`1` of `12`): it counts
 * only if something follows it, or if it is the next number of the count.
 */
import type { Grammar, ToolEvent } from './events.ts'
import { failureOrComplaint } from './failure-wording.ts'
import { fileWording, preparedWording } from './shared-wording.ts'
import { numberAfter, numberAt, parseToolLine } from './tool-line.ts'

const NOTHING: readonly ToolEvent[] = []
const MIB = 1024 * 1024

/** How the line of a count begins, its first number, the distance between numbers, the highest, and what one means. */
interface Count {
  head: string
  first: number
  step: number
  highest: number
  event: (value: number) => ToolEvent
}

const COUNTS = {
  rollback: {
    head: 'Progress in percents:',
    first: 1,
    step: 1,
    highest: 100,
    event: percent => ({ type: 'rollback_percent', percent }),
  },
  batch: {
    head: 'Progress in percent:',
    first: 0,
    step: 1,
    highest: 100,
    event: percent => ({ type: 'batch_percent', percent }),
  },
  redoFile: {
    head: 'Progress in MB:',
    first: 100,
    step: 100,
    highest: Number.POSITIVE_INFINITY,
    event: megabytes => ({ type: 'redo_file_written', bytes: megabytes * MIB }),
  },
} as const satisfies Record<string, Count>

/** A count continues after a line of another thread. Dates and times do not match. */
const CONTINUED = /^ ?\d{1,7}(?![\d:-])(?! {1,2}\d{1,2}:)/
/** A timestamp glued to the last number of a count. */
const GLUED_TIME = /\d{4}-\d\d-\d\d[T ]|\d{6} {1,2}\d{1,2}:\d\d:\d\d/

export function xtrabackupGrammar(): Grammar {
  const files = fileWording()
  let count: Count | null = null
  let last = -1
  let shuttingDown = false
  let hasScanned = false
  let isUnprepared = false

  function begin(next: Count | null): void {
    count = next
    last = -1
  }

  function batch(text: string): ToolEvent | null {
    if (text.startsWith('Applying a batch of ')) return { type: 'batch_started', pages: numberAt(text, 20) }
    if (text.startsWith('Starting an apply batch of log records')) {
      begin(COUNTS.batch)
      return { type: 'batch_started', pages: null }
    }
    if (text.startsWith('Apply batch completed')) {
      begin(null)
      return { type: 'batch_completed' }
    }
    if (text.length <= 6 && /^\d{1,3}(?:\.\d+)?%$/.test(text)) {
      return { type: 'batch_percent', percent: Number(text.slice(0, -1)) }
    }
    return null
  }

  function rollback(text: string): ToolEvent | null | 'known' {
    if (text.startsWith('Rolling back trx with id ')) {
      begin(COUNTS.rollback)
      return { type: 'rollback_started', rows: numberAfter(text, ', ') }
    }
    const progress = numberAfter(text, ' rollback progress: ')
    if (progress >= 0) return { type: 'rollback_percent', percent: progress }
    if (text.startsWith('Rollback of non-prepared transactions completed')) {
      begin(null)
      return { type: 'rollback_completed' }
    }
    if (text.includes(' transaction(s) which must be rolled back')) {
      return { type: 'rollback_found', rows: numberAfter(text, 'in total ') }
    }
    return null
  }

  function scan(text: string): ToolEvent | null {
    if (text.startsWith('Doing recovery: scanned up to log sequence number ')) {
      hasScanned = true
      return { type: 'redo_scanned', lsn: numberAt(text, 50) }
    }
    // Later versions print this before the scan, not after it.
    if (text.startsWith('Starting crash recovery')) return hasScanned ? { type: 'first_pass_ended' } : null
    if (text.startsWith('Log scan progressed past the checkpoint lsn ')) {
      return { type: 'checkpoint', lsn: numberAt(text, 44) }
    }
    if (text.startsWith('The latest found checkpoint is at lsn = '))
      return { type: 'checkpoint', lsn: numberAt(text, 40) }
    if (text.startsWith('xtrabackup_logfile detected: size=')) {
      return { type: 'redo_found', sizeBytes: numberAt(text, 34), startLsn: numberAfter(text, 'start_lsn=(') }
    }
    if (text.startsWith('Got estimation from backup: ')) {
      return {
        type: 'memory_estimate',
        parseBytes: numberAt(text, 28),
        frames: numberAfter(text, 'parsing and '),
      }
    }
    return null
  }

  /**
   * The tool says `starting shutdown with …`, then InnoDB says `Starting shutdown...`: one shutdown. 2.4 has two of
   * them.
   */
  function shutdown(text: string): ToolEvent | null | 'known' {
    if (text.startsWith('starting shutdown with innodb_fast_shutdown') || text.startsWith('Starting shutdown...')) {
      if (shuttingDown) return 'known'
      shuttingDown = true
      return { type: 'shutdown_started' }
    }
    if (!text.startsWith('Shutdown completed')) return null
    shuttingDown = false
    hasScanned = false
    begin(null)
    const lsn = numberAfter(text, 'log sequence number ')
    return { type: 'shutdown_completed', lsn: lsn < 0 ? null : lsn }
  }

  /** xtrabackup 2.4 makes the server's redo files, at their full size. */
  function redoFiles(text: string): ToolEvent | null {
    if (text.startsWith('Setting log file ')) {
      begin(COUNTS.redoFile)
      return { type: 'redo_file_started', bytes: numberAfter(text, ' size to ') * MIB }
    }
    if (!text.startsWith('New log files created')) return null
    begin(null)
    return { type: 'redo_files_created' }
  }

  function wholeLine(line: string): readonly ToolEvent[] {
    const parsed = parseToolLine(line)
    const { text } = parsed
    if (text.startsWith('Difficult to find free blocks')) return [{ type: 'starved' }]
    if (text.startsWith('This target seems to be not prepared')) isUnprepared = true
    // The header of the redo is destroyed. xtrabackup 2.4 goes on without redo, prints `completed OK!` and exits 0.
    if (isUnprepared && text.endsWith("xtrabackup_logfile was already used to '--prepare'."))
      return [{ type: 'failure', code: 'redo_incomplete', text: `no redo found: ${text.replace('notice: ', '')}` }]
    const event =
      scan(text) ??
      batch(text) ??
      rollback(text) ??
      shutdown(text) ??
      redoFiles(text) ??
      files(text) ??
      preparedWording(text) ??
      options(text) ??
      banner(text)
    if (event === 'known') return NOTHING
    return event === null ? failureOrComplaint(parsed) : [event]
  }

  /** Events of the new numbers in `text` from `from` on, then of what is glued to the last one. */
  function numbers(running: Count, text: string, from: number, complete: boolean): readonly ToolEvent[] {
    const end = endOfNumbers(text, from)
    const events: ToolEvent[] = []
    for (const { 0: digits, index } of text.slice(from, end).matchAll(/\d+/g)) {
      const value = Number(digits)
      const isWhole = complete || from + index + digits.length < text.length
      if (value <= last || value > running.highest) continue
      if (!isWhole && value !== (last < 0 ? running.first : last + running.step)) continue
      last = value
      events.push(running.event(value))
    }
    if (complete && end < text.length) events.push(...wholeLine(text.slice(end)))
    return events
  }

  return (line, complete) => {
    const head = line.indexOf('Progress in ')
    const begun = head < 0 ? undefined : Object.values(COUNTS).find(kind => line.startsWith(kind.head, head))
    if (begun !== undefined) {
      if (count !== begun) begin(begun)
      return numbers(begun, line, head + begun.head.length, complete)
    }
    if (count !== null && CONTINUED.test(line)) return numbers(count, line, 0, complete)
    return complete ? wholeLine(line) : NOTHING
  }
}

/** Where the numbers end: at a glued timestamp, else at the first character that is neither digit nor space. */
function endOfNumbers(text: string, from: number): number {
  const end = from + (/^[\d ]*/.exec(text.slice(from))?.[0].length ?? 0)
  const time = GLUED_TIME.exec(text.slice(from))
  return time === null ? end : Math.min(end, from + time.index)
}

/** `recognized server arguments:` are those of backup-my.cnf, `recognized client arguments:` those of the command. */
function options(text: string): ToolEvent | null {
  if (text.startsWith('recognized client arguments: '))
    return { type: 'prepare_options', applyLogOnly: text.includes(' --apply-log-only=1'), newRedoBytes: null }
  if (!text.startsWith('recognized server arguments: ')) return null
  const fileBytes = numberAfter(text, ' --innodb_log_file_size=')
  const files = numberAfter(text, ' --innodb_log_files_in_group=')
  const newRedoBytes = fileBytes > 0 && files > 0 ? fileBytes * files : null
  return { type: 'prepare_options', applyLogOnly: null, newRedoBytes }
}

/** `/usr/bin/xtrabackup version 8.0.35-30 based on MySQL server 8.0.35 …`: no prefix, but argv[0]. */
function banner(text: string): ToolEvent | null {
  const at = text.indexOf(' based on MySQL server ')
  if (at < 0) return null
  return { type: 'version', version: text.slice(text.lastIndexOf(' ', at - 1) + 1, at) }
}
