/**
 * Every error of restore-agent: a stable code (also `error.type` in telemetry), a fixed exit code and a hint.
 * Exit codes are mapped in main.ts only. `backup` says whose fault it is: true means this backup cannot be restored
 * (phase `failed_basebackup`: an older one may), false means the environment (phase `failed`).
 */
export const ERRORS = {
  internal: { exit: 1, backup: false, hint: 'this is a bug in restore-agent: report it with the run directory' },
  usage: { exit: 2, backup: false, hint: 'see restore-agent --help' },
  config_invalid: { exit: 3, backup: false, hint: 'correct the configuration; nothing was started' },
  not_permitted: { exit: 4, backup: false, hint: 'run as a user that may do that, usually root' },
  locked: {
    exit: 5,
    backup: false,
    hint: 'another restore uses this state directory: wait for it, or give --state-dir',
  },
  state_unreadable: {
    exit: 6,
    backup: false,
    hint: 'a newer restore-agent wrote it, or it is damaged: use that version, or another --state-dir',
  },
  listen_failed: {
    exit: 7,
    backup: false,
    hint: 'another program has this address: stop it, or give another one as listen',
  },
  agent_unreachable: {
    exit: 8,
    backup: false,
    hint: 'start restore-agent serve there, or give its address with --url or --config',
  },
  agent_refused: { exit: 9, backup: false, hint: 'give the token of the agent with --token-file or --config' },

  datadir_not_empty: {
    exit: 10,
    backup: false,
    hint: 'restore-agent never overwrites data: empty the datadir yourself, or name another one',
  },
  server_running: { exit: 11, backup: false, hint: 'stop the server that uses this datadir first' },
  target_not_new: {
    exit: 12,
    backup: false,
    hint: 'name a --target-dir that does not exist yet, or remove what is left of an earlier try',
  },
  tool_missing: { exit: 13, backup: false, hint: 'install it, or give its path with --tool-path' },
  tool_version: { exit: 14, backup: false, hint: 'restore with the tool version that made the backup' },
  disk_space: { exit: 15, backup: false, hint: 'free space, or put --target-dir on a larger file system' },
  unfinished: {
    exit: 17,
    backup: false,
    hint: 'run the command that began it again to go on with it, or restore with another --state-dir',
  },
  memory: { exit: 16, backup: false, hint: 'free memory, raise the cgroup limit, or give a smaller --use-memory' },

  source_missing: { exit: 20, backup: false, hint: 'check the path of the source' },
  source_unreadable: { exit: 21, backup: false, hint: 'check the rights on the source and that its storage answers' },
  source_unknown: {
    exit: 22,
    backup: false,
    hint: 'it is neither an xbstream (bare, or in zstd, gzip, lz4, bzip2, xz, gpg, openssl) nor a backup directory',
  },
  source_empty: { exit: 23, backup: true, hint: 'the backup holds no data: it was never finished, use another one' },
  source_truncated: {
    exit: 24,
    backup: true,
    hint: 'the stream ends too early: fetch the backup again, or use another one',
  },
  source_corrupt: {
    exit: 25,
    backup: true,
    hint: 'the bytes were changed after the backup: fetch it again, or use another one',
  },
  wrong_key: {
    exit: 26,
    backup: false,
    hint: 'the key in --decrypt-key-file is not the one this backup was encrypted with',
  },
  key_missing: { exit: 27, backup: false, hint: 'the backup is encrypted: give its key with --decrypt-key-file' },
  chain_broken: {
    exit: 28,
    backup: false,
    hint: 'give the full backup first, then every incremental in the order they were taken',
  },
  backup_incomplete: {
    exit: 29,
    backup: true,
    hint: 'files that every finished backup has are missing: use another backup',
  },

  disk_full: {
    exit: 40,
    backup: false,
    hint: 'free space on this file system and restore again; the backup is not at fault',
  },
  tool_killed: {
    exit: 41,
    backup: false,
    hint: 'something outside killed the tool; if it was the OOM killer, give a smaller --use-memory',
  },
  stalled: { exit: 42, backup: false, hint: 'the tool made no progress for longer than --stall-timeout' },

  extract_failed: { exit: 50, backup: true, hint: "read the tool's last words above" },
  prepare_failed: { exit: 51, backup: true, hint: "read the tool's last words above" },
  redo_incomplete: {
    exit: 52,
    backup: true,
    hint: 'the redo log ends before the backup does: data would be missing; use another backup',
  },
  not_prepared: {
    exit: 53,
    backup: true,
    hint: 'prepare did not finish on this backup: restore it again from its source',
  },
  move_back_failed: { exit: 54, backup: false, hint: "read the tool's last words above" },
  verify_failed: { exit: 55, backup: true, hint: 'the restored files are not complete: do not start a server on them' },
  ownership_failed: {
    exit: 56,
    backup: false,
    hint: 'check that the user and group of --owner exist, and run as root',
  },
  start_check_failed: { exit: 57, backup: true, hint: "read the server's last words above" },
  server_failed: {
    exit: 58,
    backup: false,
    hint: 'the restored files are all there, a server could not run on them here: read its last words above, and start it yourself',
  },

  interrupted: { exit: 70, backup: false, hint: 'the agent died; start the same command again' },
  cancelled: { exit: 130, backup: false, hint: 'start it again when you are ready; the source is untouched' },
  terminated: { exit: 143, backup: false, hint: 'start it again when you are ready; the source is untouched' },
} as const satisfies Record<string, { exit: number; backup: boolean; hint: string }>

export type ErrorCode = keyof typeof ERRORS
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[]

/** An error as data: in the state file, in --json, in telemetry. */
export interface ErrorRecord {
  code: ErrorCode
  /** What went wrong and where, one line, no secrets. */
  message: string
  /** The tool's last lines, oldest first; empty when no tool spoke. */
  lastWords: readonly string[]
  hint: string
}

export interface ErrorDetails {
  lastWords?: readonly string[]
  /** Replaces the code's own hint where a better one is known. */
  hint?: string
  cause?: unknown
}

/** The one error class; whatever else is thrown is a bug and becomes `internal` in main.ts. */
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

/** Any thrown value as a RestoreError; an unknown one is `internal`, with the original as cause. */
export function toRestoreError(thrown: unknown): RestoreError {
  if (thrown instanceof RestoreError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new RestoreError('internal', message, { cause: thrown })
}

/** The exit code of a code, as documented in docs/errors.md. */
export const exitCodeOf = (code: ErrorCode): number => ERRORS[code].exit
