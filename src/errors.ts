interface ErrorKind {
  exit: number
  backup: boolean
  hint: string
}
const failed = (exit: number, hint: string): ErrorKind => ({ exit, backup: false, hint })
const damaged = (exit: number, hint: string): ErrorKind => ({ exit, backup: true, hint })

/**
 * Every error of restore-agent: a stable code (also `error.type` in telemetry), a fixed exit code and a hint.
 *
 * `backup: true` means positive evidence that the bytes of this backup are damaged or incomplete: a checksum, a magic
 * number, an early end, pages. Such a restore ends in `failed_basebackup`, and an older backup is tried if one is
 * configured. All other errors, including unrecognised ones, do not count against the backup (`failed`).
 */
export const ERRORS = {
  internal: failed(1, 'this is a bug in restore-agent: report it with the run directory'),
  usage: failed(2, 'see restore-agent --help'),
  config_invalid: failed(3, 'correct the configuration; nothing was started'),
  not_permitted: failed(4, 'run as a user with these rights, usually root'),
  locked: failed(5, 'another restore uses this state dir: wait for it, or give another --state-dir'),
  state_unreadable: failed(
    6,
    'another version of restore-agent wrote it, or it is damaged: use that version, or another --state-dir',
  ),
  listen_failed: failed(7, 'another program listens on this address: stop it, or set another one as listen'),
  agent_unreachable: failed(8, 'start restore-agent serve there, or give its address with --url or --config'),
  agent_refused: failed(9, "give the agent's token with --token-file or --config"),

  datadir_not_empty: failed(10, 'restore-agent never overwrites data: empty the datadir, or name another one'),
  server_running: failed(11, 'stop the server that uses this datadir'),
  target_not_new: failed(12, 'name a --target-dir that does not exist, or remove what an earlier restore left there'),
  tool_missing: failed(13, 'install it, or give its path with --tool-path'),
  tool_version: failed(14, 'restore with the tool version that made the backup'),
  disk_space: failed(15, 'free space, or put --target-dir on a larger file system'),
  memory: failed(16, 'free memory, raise the cgroup or ulimit limit, or give a smaller --use-memory'),
  unfinished: failed(17, 'run the command that began that restore to resume it, or use another --state-dir'),
  tool_broken: failed(
    18,
    'the program cannot run on this machine: install it again, with its libraries and for this processor',
  ),
  path_too_long: failed(19, 'name a shorter path'),

  source_missing: failed(20, 'check the path of the source'),
  source_unreadable: failed(21, 'check the rights on the source and that its storage responds'),
  source_unknown: failed(
    22,
    'it must be an xbstream (bare, or in zstd, gzip, lz4, bzip2, xz, gpg, openssl) or a backup directory',
  ),
  source_empty: damaged(23, 'the backup holds no data: it was never finished, use another one'),
  source_truncated: damaged(24, 'the backup ends too early: copy it here again, or use another one'),
  source_corrupt: damaged(
    25,
    'the bytes differ from what was backed up: copy the backup here again, or use another one',
  ),
  wrong_key: failed(26, 'the key in --decrypt-key-file is not the key of this backup'),
  key_missing: failed(27, 'the backup is encrypted: give its key with --decrypt-key-file'),
  chain_broken: failed(28, 'give the full backup first, then every incremental in the order they were taken'),
  backup_incomplete: damaged(29, 'files that every finished backup has are missing: use another backup'),
  outside_refused: failed(30, 'give --allow-outside if you trust this backup to write to these places'),
  source_changed: failed(32, 'restore again: the backup that is there now is looked at anew'),
  unsafe_path: failed(
    31,
    'name a place whose parent directories only root or the owner of the restored files can change',
  ),

  source_denied: failed(33, 'check the credentials, and that they may read this object'),
  source_unreachable: failed(
    34,
    'check the network, the proxy and the server; run the same command again when it answers',
  ),

  credentials_failed: failed(
    35,
    'check the credentials that this process sees: environment, profile, role or instance; then run the same command again',
  ),
  source_cold: failed(36, 'restore the object from its archive first, then run the same command again'),
  backup_missing: failed(39, 'restore-agent list shows the backups of a place'),

  disk_full: failed(40, 'free space on this file system and restore again; the backup is not at fault'),
  tool_killed: failed(41, 'another process killed the tool; if it was the OOM killer, give a smaller --use-memory'),
  stalled: failed(42, 'the tool made no progress for longer than --stall-timeout'),
  io_error: failed(43, 'the disk or its file system fails (see the kernel log); the backup is not at fault'),
  read_only: failed(44, 'the file system is mounted read-only: mount it read-write'),
  open_files: failed(45, 'raise the limit on open files (ulimit -n, LimitNOFILE in systemd)'),
  file_size_limit: failed(46, 'raise the limit on file sizes (ulimit -f, LimitFSIZE in systemd)'),
  target_lost: failed(47, 'another process removed or changed files of this restore: find it, then restore again'),

  state_lost: failed(
    48,
    'the state dir was removed or replaced during the restore: what was extracted is left as it is; restore again',
  ),

  extract_failed: failed(50, "see the tool's last lines above"),
  prepare_failed: failed(51, "see the tool's last lines above"),
  redo_incomplete: damaged(
    52,
    'the redo log ends before the backup does, so data would be missing: use another backup',
  ),
  not_prepared: failed(53, 'prepare did not finish on these files: restore the backup again from its source'),
  move_back_failed: failed(54, "see the tool's last lines above"),
  verify_failed: damaged(55, 'the restored files are incomplete: do not start a server on them'),
  ownership_failed: failed(56, 'check that the user and group of --owner exist, and run as root'),
  start_check_failed: damaged(57, "see the server's last lines above"),
  server_failed: failed(
    58,
    'the restored files are complete, but no server could run on them here: see its last lines above',
  ),

  binlog_gap: failed(
    59,
    'give the missing binlogs too; if they are older than the backup, give only those from the backup on',
  ),
  binlog_fork: failed(
    60,
    'the server went on from an earlier state, as after another recovery: give the binlogs of one timeline only',
  ),
  binlog_foreign: failed(61, "give one server's binlogs only, or choose it with --binlog-server-id"),
  binlog_too_new: failed(62, 'give the earlier binlogs too, back to the position of the backup'),
  binlog_damaged: failed(63, 'copy this binlog again from the server or the archive; the backup is not at fault'),
  binlog_encrypted: failed(64, 'archive binlogs with mysqlbinlog --read-from-remote-server, which decrypts them'),
  binlog_unsupported: failed(65, 'binlogs of MySQL 5.6 to 9.x and MariaDB 10.x to 11.x can be applied'),
  binlog_target_not_reached: failed(66, 'give the later binlogs too, an earlier target, or --allow-earlier'),
  binlog_position_conflict: failed(
    67,
    'check that the binlogs are of the server that was backed up, and that nothing changed the backup',
  ),
  binlog_position_unknown: failed(68, 'back up with the binlog on, so that the backup notes its position'),
  binlog_apply_failed: failed(69, "see the server's words above; the datadir holds what was applied until then"),

  interrupted: failed(70, 'the agent died; run the same command again'),
  cancelled: failed(130, 'run it again when you are ready; the source is unchanged'),
  terminated: failed(143, 'run it again when you are ready; the source is unchanged'),
}

export type ErrorCode = keyof typeof ERRORS
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[]

/** An error as data: in the state file, in --json, in telemetry. */
export interface ErrorRecord {
  code: ErrorCode
  /** What went wrong and where: one line, no secrets. */
  message: string
  /** The tool's last lines, oldest first; empty when no tool was involved. */
  lastWords: readonly string[]
  hint: string
}

export interface ErrorDetails {
  lastWords?: readonly string[]
  /** Replaces the code's own hint. */
  hint?: string
  cause?: unknown
}

/** The only error class. Any other thrown value is a bug: `toRestoreError` makes it `internal`. */
export class RestoreError extends Error {
  readonly code: ErrorCode
  readonly lastWords: readonly string[]
  readonly hint: string

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'RestoreError'
    this.code = code
    this.lastWords = details.lastWords ?? []
    this.hint = details.hint ?? ERRORS[code].hint
  }

  get record(): ErrorRecord {
    return { code: this.code, message: this.message, lastWords: this.lastWords, hint: this.hint }
  }
}

/** Any thrown value as a RestoreError: `internal`, with the original as its cause, unless it is one already. */
export function toRestoreError(thrown: unknown): RestoreError {
  if (thrown instanceof RestoreError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new RestoreError('internal', message, { cause: thrown })
}

/** The exit code of an error code (docs/errors.md). */
export const exitCodeOf = (code: ErrorCode): number => ERRORS[code].exit
