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
