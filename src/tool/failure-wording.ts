import type { ErrorCode } from '../errors.ts'
import { environmentFault } from './environment-wording.ts'
import type { ToolEvent } from './events.ts'
import type { ToolLine } from './tool-line.ts'

/**
 * Which failure a line of a backup tool names. Wordings of xtrabackup and mariadb-backup, xbstream and mbstream, from
 * their transcripts and sources; each is long enough to appear in no line of a run that goes well. The first match
 * counts, so the more telling wordings stand first.
 */
const WORDINGS: readonly (readonly [wording: string, code: ErrorCode])[] = [
  ['wrong chunk magic at offset 0x0.', 'source_unknown'],
  ['wrong chunk magic', 'source_corrupt'],
  ['invalid checksum at offset', 'source_corrupt'],
  ['out-of-order chunk', 'source_corrupt'],
  // A path that leads out of the directory: mbstream stops there, extracts nothing more and exits 0.
  ['invalid filename', 'source_corrupt'],
  ['unexpected end of stream', 'source_truncated'],
  ['xb_stream_read_chunk(): my_read() failed', 'source_truncated'],
  ['invalid plaintext hash', 'wrong_key'],
  ['failed to decrypt chunk', 'wrong_key'],
  ['unable to set libgcrypt cipher key', 'wrong_key'],
  ['unable to read encryption key file', 'key_missing'],
  ['unable to open config file', 'key_missing'],

  ['Original data directory', 'datadir_not_empty'],
  ['target is not fully prepared', 'not_prepared'],
  ['datadir must be specified', 'internal'],
  ['Can not move file', 'move_back_failed'],

  ['incremental backup seems not to be proper', 'chain_broken'],
  ["Check 'to_lsn' of the target", 'chain_broken'],
  ['needs target prepared with --apply-log-only', 'chain_broken'],
  ['was already used to', 'chain_broken'],

  ['Unsupported redo log format', 'tool_version'],
  ['Unsupported server version', 'tool_version'],
  ['Please use an older version of Xtrabackup', 'tool_version'],
  ['can only perform backups and restores against', 'tool_version'],
  ['failed to load tablespaces list', 'tool_version'],
  ['created by Percona XtraBackup 2.4 or earlier', 'tool_version'],
  ['Upgrade after a crash is not supported', 'tool_version'],

  ['cannot open ./xtrabackup_', 'backup_incomplete'],
  ['cannot open ./mariadb_backup_', 'backup_incomplete'],
  ['failed to read metadata from', 'backup_incomplete'],
  ['Failed to parse xtrabackup_info', 'backup_incomplete'],
  ['seems not to have correct metadata', 'backup_incomplete'],
  ["Can't open backup-my.cnf", 'backup_incomplete'],
  ['cannot find ./xtrabackup_logfile', 'backup_incomplete'],
  // InnoDB makes a new one, and the prepare fails later.
  ['The first innodb_system data file', 'backup_incomplete'],
  ['ib_logfile0 was not found', 'backup_incomplete'],

  ['Missing FILE_CHECKPOINT', 'redo_incomplete'],
  ['Log scan aborted at LSN', 'redo_incomplete'],
  ['log was not applied to the intended LSN', 'redo_incomplete'],
  ['Log applied to lsn', 'redo_incomplete'],
  ['The intended lsn is', 'redo_incomplete'],
  ['transaction log file is corrupted', 'redo_incomplete'],
  ['No valid checkpoint found', 'source_corrupt'],
  ['Database page corruption on disk', 'source_corrupt'],

  [': not found', 'tool_missing'],
]

/** Errno 28 and 122 in the words of every layer: mysys, InnoDB, xbstream, the C library. */
const DISK_FULL = /\b(?:errno|errcode|error|error number):? ?(?:28|122)\b|No space left on device|Disk quota exceeded/i
const FILE_EXISTS = /\b(?:errno|Errcode):? ?17\b/
const NO_SUCH_DIRECTORY = /^Can't change dir to .*\b(?:errno|Errcode):? ?2\b/
/** `xbstream: [ERROR] unknown option '--decompress'`: the level follows the program. */
const UNKNOWN_OPTION = /^(?:\[ERROR\] )?unknown option/
/** Programs that `--decompress` starts through a shell. */
const SHELL_NOT_FOUND = /^sh: .*\b(?:qpress|zstd|lz4|xbcrypt): (?:command )?not found/

/** True for a disk or a quota that is full, in any of the tools' wordings. */
export function saysDiskFull(text: string): boolean {
  if (text.includes('disk is not full or a disk quota exceeded')) return true
  return (
    (text.includes('28') || text.includes('122') || text.includes('No space') || text.includes('quota')) &&
    DISK_FULL.test(text)
  )
}

function failureCode({ text, level }: ToolLine): ErrorCode | null {
  if (saysDiskFull(text)) return 'disk_full'
  // A warning may name a fault that the tool gets around, such as too little locked memory for io_uring.
  const fault = level === 'warning' ? null : environmentFault(text)
  if (fault !== null) return fault
  for (const [wording, code] of WORDINGS) {
    if (!text.includes(wording)) continue
    if (code === 'tool_missing' && !SHELL_NOT_FOUND.test(text)) continue
    if (code === 'datadir_not_empty' && !text.includes('is not empty')) continue
    // xtrabackup 2.4 looks for the redo elsewhere.
    if (code === 'backup_incomplete' && text.includes('will try to find')) continue
    return code
  }
  if (text.includes('rr') && FILE_EXISTS.test(text)) return 'target_not_new'
  if (NO_SUCH_DIRECTORY.test(text)) return 'target_lost'
  if (level !== 'warning' && UNKNOWN_OPTION.test(text)) return 'tool_version'
  return null
}

const NOTHING: readonly ToolEvent[] = []
/** `15:41:48 UTC - xtrabackup got signal 6 ;`: the tool crashed. */
const CRASH = /\b[\w-]+ got signal \d+/

/**
 * Any line that a grammar does not know: the failure it names, else a complaint if it is an error or a warning, else
 * nothing.
 */
export function failureOrComplaint(line: ToolLine): readonly ToolEvent[] {
  const code = failureCode(line)
  if (code === null && line.level === 'note' && !line.text.includes(' got signal ')) return NOTHING
  // These texts reach terminals: a file name may hold anything.
  const text = line.text.replace(/[\x00-\x1f\x7f]/g, '').trim()
  if (code !== null) return [{ type: 'failure', code, text }]
  const crash = CRASH.exec(text)
  if (crash !== null) return [{ type: 'complaint', level: 'crash', text: crash[0] }]
  return line.level === 'note' ? NOTHING : [{ type: 'complaint', level: line.level, text }]
}
