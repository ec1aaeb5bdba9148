/**
 * What xtrabackup says in --prepare, --move-back and --decompress, 2.4 to 9.x.
 *
 * Whole lines are stripped of their prefixes and told apart by how they begin. Two kinds of line are written piece by piece, and
 * a newline may be hours away, so those are read while they grow:
 *   `InnoDB: Progress in percents: 1`, ` 2`, ` 3` …   rollback; the newline never comes, the next line's timestamp or
 *                                                     prefix is glued to the last number
 *   `InnoDB: Progress in percent: 0 1 2 `…            2.4's apply batch
 * The numbers only grow, so a number is new exactly when it is above the last one reported. The last number of an unfinished
 * line may itself be unfinished (`1` of `12`, or `100` with the year of a timestamp behind it): it counts only if something
 * follows it or it is the very next number; InnoDB reports every percent.
 */
import type { Grammar, ToolEvent } from './events.ts'
import { failureOrComplaint } from './failure-wording.ts'
import { fileWording, preparedWording } from './shared-wording.ts'
import { numberAfter, numberAt, parseToolLine } from './tool-line.ts'

const NOTHING: readonly ToolEvent[] = []
const ROLLBACK_HEAD = 'Progress in percents:'
const BATCH_HEAD = 'Progress in percent:'
/** A rollback goes on behind a line that another thread put in between. */
const CONTINUED = /^(?: \d{1,3})+(?: |$|\d{4}-\d\d-\d\dT)/

export function xtrabackupGrammar(): Grammar {
  const files = fileWording()
  let batchPercent = -1
  let rollbackPercent = -1
  let rollingBack = false
  let shuttingDown = false
  let highestLsn = 0

  function batch(text: string): ToolEvent | null {
    if (text.startsWith('Applying a batch of ')) return { type: 'batch_started', pages: numberAt(text, 20) }
    if (text.startsWith('Starting an apply batch of log records')) {
      batchPercent = -1
      return { type: 'batch_started', pages: null }
    }
    if (text.startsWith('Apply batch completed')) return { type: 'batch_completed' }
    if (text.length <= 6 && /^\d{1,3}(?:\.\d+)?%$/.test(text)) {
      return { type: 'batch_percent', percent: Number(text.slice(0, -1)) }
    }
    return null
  }

  function rollback(text: string): ToolEvent | null | 'known' {
    if (text.startsWith('Rolling back trx with id ')) {
      rollbackPercent = -1
      rollingBack = true
      return { type: 'rollback_started', trx: String(numberAt(text, 25)), rows: numberAfter(text, ', ') }
    }
    const progress = numberAfter(text, ' rollback progress: ')
    if (progress >= 0) return { type: 'rollback_percent', percent: progress }
    if (text.startsWith('Rollback of non-prepared transactions completed')) {
      rollingBack = false
      return { type: 'rollback_completed' }
    }
    if (text.includes(' transaction(s) which must be rolled back')) {
      return { type: 'rollback_found', transactions: numberAt(text, 0), rows: numberAfter(text, 'in total ') }
    }
    return null
  }

  function scan(text: string): ToolEvent | null {
    if (text.startsWith('Doing recovery: scanned up to log sequence number ')) {
      const lsn = numberAt(text, 50)
      if (lsn < highestLsn) return { type: 'redo_scanned', lsn, rescan: true }
      highestLsn = lsn
      return { type: 'redo_scanned', lsn }
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
        requestedBytes: numberAfter(text, 'Requesting '),
      }
    }
    return null
  }

  /** The tool says `starting shutdown with …`, then InnoDB says `Starting shutdown...`: one shutdown. 2.4 has two of them. */
  function shutdown(text: string): ToolEvent | null | 'known' {
    if (text.startsWith('starting shutdown with innodb_fast_shutdown') || text.startsWith('Starting shutdown...')) {
      if (shuttingDown) return 'known'
      shuttingDown = true
      return { type: 'shutdown_started' }
    }
    if (!text.startsWith('Shutdown completed')) return null
    shuttingDown = false
    highestLsn = 0
    const lsn = numberAfter(text, 'log sequence number ')
    return { type: 'shutdown_completed', lsn: lsn < 0 ? null : lsn }
  }

  function wholeLine(line: string): readonly ToolEvent[] {
    const parsed = parseToolLine(line)
    const { text } = parsed
    if (text.startsWith('Difficult to find free blocks')) return [{ type: 'starved' }]
    const event =
      scan(text) ??
      batch(text) ??
      rollback(text) ??
      shutdown(text) ??
      files(text) ??
      preparedWording(text) ??
      banner(text)
    if (event === 'known') return NOTHING
    return event === null ? failureOrComplaint(parsed) : [event]
  }

  /** New percents in `text` from `from` on, then whatever is glued behind them. */
  function percents(text: string, from: number, complete: boolean, kind: 'batch' | 'rollback'): readonly ToolEvent[] {
    const end = endOfNumbers(text, from)
    const events: ToolEvent[] = []
    let last = kind === 'batch' ? batchPercent : rollbackPercent
    for (const { 0: digits, index } of text.slice(from, end).matchAll(/\d+/g)) {
      const percent = Number(digits)
      const sure = complete || from + index + digits.length < text.length
      if (percent <= last || percent > 100 || !(sure || percent === last + 1 || (last < 0 && percent === 1))) continue
      last = percent
      events.push({ type: kind === 'batch' ? 'batch_percent' : 'rollback_percent', percent })
    }
    if (kind === 'batch') batchPercent = last
    else rollbackPercent = last
    if (complete && end < text.length) events.push(...wholeLine(text.slice(end)))
    return events
  }

  return (line, complete) => {
    const head = line.indexOf('Progress in percent')
    if (head >= 0) {
      return line.startsWith(ROLLBACK_HEAD, head)
        ? percents(line, head + ROLLBACK_HEAD.length, complete, 'rollback')
        : line.startsWith(BATCH_HEAD, head)
          ? percents(line, head + BATCH_HEAD.length, complete, 'batch')
          : NOTHING
    }
    if (rollingBack && line.startsWith(' ') && CONTINUED.test(line)) return percents(line, 0, complete, 'rollback')
    return complete ? wholeLine(line) : NOTHING
  }
}

/** Where the numbers end: at a glued timestamp, else at the first character that is neither digit nor space. */
function endOfNumbers(text: string, from: number): number {
  const numbers = /^[\d ]*/.exec(text.slice(from))?.[0].length ?? 0
  const end = from + numbers
  if (text[end] !== '-' || !/^\d{4}$/.test(text.slice(end - 4, end))) return end
  return end - 4
}

/** `/usr/bin/xtrabackup version 8.0.35-30 based on MySQL server 8.0.35 …`: no prefix, but argv[0]. */
function banner(text: string): ToolEvent | null {
  const at = text.indexOf(' based on MySQL server ')
  if (at < 0) return null
  return { type: 'version', version: text.slice(text.lastIndexOf(' ', at - 1) + 1, at) }
}
