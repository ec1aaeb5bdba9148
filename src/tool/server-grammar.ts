import { scrubText } from '../secrets.ts'
import { environmentFault } from './environment-wording.ts'
import type { Grammar, ToolEvent } from './events.ts'
import { saysDiskFull } from './failure-wording.ts'

const NOTHING: readonly ToolEvent[] = []

/**
 * InnoDB, or Aria, which holds MariaDB's system tables, names damage in what it has read. Any other error is no
 * evidence.
 */
const ENGINE_NAMES_DAMAGE =
  /(?=.*\b(?:InnoDB|Aria)\b)(?=.*(?:corrupt|checksum|Inconsistent tablespace|(?:bigger|smaller|shorter) than expected|truncated|malformed|LSN .* is in the future|Missing (?:FILE|MLOG)_CHECKPOINT|No valid checkpoint))/i

/**
 * Besides faults of the machine: another process on the files, a server of another version, an option it does not know.
 */
const AROUND_THE_DATA =
  /access rights|must be writable|Unable to lock|\berror: 11\b|Unsupported redo log format|Upgrade after a crash|Invalid MySQL server (?:up|down)grade|unknown (?:option|variable)/i

/** lower_case_table_names of the data, where MySQL 8 ends because it was started with another; null otherwise. */
export function lowerCaseOfDictionary(lines: readonly string[]): string | null {
  for (const line of lines) {
    const found = /Different lower_case_table_names settings for server .* and data dictionary \('([012])'\)/.exec(line)
    if (found) return found[1]!
  }
  return null
}

const MERE_REMARK = /\[(?:Note|System|Warning)\]/

/** What mysqld and mariadbd say when they end by themselves. `server_failed` says that the data are not to blame. */
export function serverGrammar(): Grammar {
  return line => {
    const failure = (code: 'disk_full' | 'server_failed' | 'start_check_failed'): readonly ToolEvent[] => [
      { type: 'failure', code, text: line.replace(/[\x00-\x1f\x7f]/g, '').trim() },
    ]
    if (saysDiskFull(line)) return failure('disk_full')
    if (MERE_REMARK.test(line)) return NOTHING
    if (environmentFault(line) !== null || AROUND_THE_DATA.test(line)) return failure('server_failed')
    return ENGINE_NAMES_DAMAGE.test(line) ? failure('start_check_failed') : NOTHING
  }
}

/**
 * A MariaDB server that applies relay logs: besides, what its SQL thread says. An init file whose statement fails ends
 * there, and the server goes on without it.
 */
export function applyGrammar(): Grammar {
  const server = serverGrammar()
  let reached = false
  return (line, complete): readonly ToolEvent[] => {
    if (!complete) return NOTHING
    if (/\[Note\] Slave SQL thread initialized/.test(line)) return [{ type: 'apply_started' }]
    if (/\[Note\] Slave SQL thread stopped because it reached its UNTIL position/.test(line)) reached = true
    if (/\[Note\] Slave SQL thread exiting/.test(line)) {
      const [, file, offset] = /stopped in log '([^']+)' at position (\d+)/.exec(line) ?? []
      return [{ type: 'apply_ended', reached, position: file === undefined ? null : `${file}:${offset}` }]
    }
    const error = /\[ERROR\] Slave(?: (?:SQL|worker)[^:]*)?: ?(.*)/.exec(line)?.[1]
    if (error !== undefined)
      return [{ type: 'failure', code: saysDiskFull(line) ? 'disk_full' : 'binlog_apply_failed', text: told(error) }]
    const refused = /^ERROR: \d+ +(.*)/.exec(line)?.[1]
    if (refused === undefined) return server(line, complete)
    const text = `it refused to begin: ${told(refused)}`
    return [
      { type: 'failure', code: 'binlog_apply_failed', text },
      { type: 'apply_ended', reached: false, position: null },
    ]
  }
}

/** Without passwords of a statement. What comes behind one, the GTID above all, may go with it. */
function told(words: string): string {
  const text = scrubText(words.trim())
  const gtid = /, Gtid \d+-\d+-\d+/.exec(words)?.[0] ?? ''
  return text.includes(gtid) ? text : text + gtid
}
