import type { Grammar, ToolEvent } from './events.ts'
import { saysDiskFull } from './failure-wording.ts'

const NOTHING: readonly ToolEvent[] = []

/** InnoDB or Aria, which holds MariaDB's system tables, gives up: on what it has read, unless one of the lines below says why. */
const ENGINE_COMPLAINT =
  /\[(?:ERROR|FATAL)\].*\b(?:InnoDB|Aria)\b|\bInnoDB: (?:Assertion failure|Database page corruption)/i

/**
 * What has nothing to do with the restored data: rights, memory, descriptors, another process on the files, a server of a version that
 * does not read them or was not told their encryption keys. InnoDB itself then complains as well, in lines that name no cause.
 */
const AROUND_THE_DATA =
  /Permission denied|access rights|must be writable|Read-only file system|allocate memory|Out of memory|Too many open files|Unable to lock|\b(?:errno|Errcode|error|error number):? ?(?:11|12|13|23|24|30)\b|Unsupported redo log format|Upgrade after a crash|Invalid MySQL server (?:up|down)grade|unknown (?:option|variable)|encryption key|master key/i

const MERE_REMARK = /\[(?:Note|System|Warning)\]/

/** What mysqld and mariadbd say when they end by themselves. `server_failed` says that the data are not to blame. */
export function serverGrammar(): Grammar {
  return line => {
    const failure = (code: 'disk_full' | 'server_failed' | 'start_check_failed'): readonly ToolEvent[] => [
      { type: 'failure', code, text: line.replace(/[\x00-\x1f\x7f]/g, '').trim() },
    ]
    if (saysDiskFull(line)) return failure('disk_full')
    if (AROUND_THE_DATA.test(line) && !MERE_REMARK.test(line)) return failure('server_failed')
    return ENGINE_COMPLAINT.test(line) ? failure('start_check_failed') : NOTHING
  }
}
