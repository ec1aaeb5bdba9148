import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { absoluteSource, type SourceRef } from '../source/source-ref.ts'
import type { RestoreSettings } from './schema.ts'

/** All that a restore is told, complete: paths absolute, sizes in bytes, times in ms; null is "not given". */
export interface RestoreOptions {
  /** The chain, full backup first. */
  sources: readonly SourceRef[]
  datadir: string
  /** Null: beside the datadir. */
  targetDir: string | null
  stateDir: string
  tool: 'auto' | 'xtrabackup' | 'mariadb-backup'
  toolPath: string | null
  memory: number | 'auto'
  parallel: number | null
  decryptKeyFile: string | null
  opensslCipher: string
  /** Names or numeric ids, as written. */
  owner: { user: string; group: string } | null
  startCheck: boolean
  inPlace: boolean
  dryRun: boolean
  json: boolean
  quiet: boolean
  /** False is asked for; true leaves it to the terminal and NO_COLOR. */
  color: boolean
  /** Unix ms by which the restore must have ended. */
  deadlineMs: number | null
  /** Where it was given as a duration: that, from the beginning of the restore. */
  deadlineAfterMs: number | null
  stallTimeoutMs: number | null
  stallAction: 'warn' | 'fail'
  /** Milliseconds by step, phase or `default`; only what was configured. */
  stallThresholds: Readonly<Record<string, number>>
  /** Chains to go back to, newest first, when this backup cannot be restored. */
  olderBackups: readonly (readonly SourceRef[])[]
  /** Attempts after the first, for failures that may pass. */
  retries: number
  /** Before the first of them; doubled each time. */
  retryDelayMs: number
  /** Fetch the next element of a chain while this one is prepared, when there is room. */
  prefetch: boolean
}

/** The surroundings that defaults depend on. */
export interface Surroundings {
  cwd: string
  env: Readonly<Record<string, string | undefined>>
  isRoot: boolean
  nowMs: number
}

const PATH_KEYS = ['datadir', 'target_dir', 'state_dir', 'tool_path', 'decrypt_key_file'] as const

/** The same settings with each relative path made absolute from `folder`. */
export function fromFolder(settings: RestoreSettings, folder: string): RestoreSettings {
  const absolute = { ...settings }
  for (const key of PATH_KEYS) {
    const path = settings[key]
    if (path !== undefined) absolute[key] = resolve(folder, path)
  }
  if (settings.source !== undefined) {
    absolute.source = settings.source.map(ref => absoluteSource(ref, folder))
  }
  if (settings.older_backups !== undefined) {
    absolute.older_backups = settings.older_backups.map(chain => chain.map(ref => absoluteSource(ref, folder)))
  }
  return absolute
}

export function defaultStateDir({ isRoot, env }: Pick<Surroundings, 'isRoot' | 'env'>): string {
  if (isRoot) return '/var/lib/restore-agent'
  // The XDG specification: a relative path there is to be ignored.
  const stateHome = env.XDG_STATE_HOME?.startsWith('/')
    ? env.XDG_STATE_HOME
    : join(env.HOME || homedir(), '.local/state')
  return join(stateHome, 'restore-agent')
}

/** Settings that have a source and a datadir, with every default filled in. */
export function complete(
  settings: RestoreSettings & { source: readonly SourceRef[]; datadir: string },
  surroundings: Surroundings,
): RestoreOptions {
  const { deadline } = settings
  return {
    sources: settings.source,
    datadir: settings.datadir,
    targetDir: settings.target_dir ?? null,
    stateDir: settings.state_dir ?? defaultStateDir(surroundings),
    tool: settings.tool ?? 'auto',
    toolPath: settings.tool_path ?? null,
    memory: settings.use_memory ?? 'auto',
    parallel: settings.parallel ?? null,
    decryptKeyFile: settings.decrypt_key_file ?? null,
    opensslCipher: settings.openssl_cipher ?? 'aes-256-cbc',
    owner: settings.owner ?? null,
    startCheck: settings.start_check ?? false,
    inPlace: settings.in_place ?? false,
    dryRun: settings.dry_run ?? false,
    json: settings.json ?? false,
    quiet: settings.quiet ?? false,
    color: settings.color ?? true,
    deadlineMs: deadline === undefined ? null : 'atMs' in deadline ? deadline.atMs : surroundings.nowMs + deadline.inMs,
    deadlineAfterMs: deadline !== undefined && 'inMs' in deadline ? deadline.inMs : null,
    stallTimeoutMs: settings.stall_timeout ?? null,
    stallAction: settings.stall_action ?? 'warn',
    olderBackups: settings.older_backups ?? [],
    retries: settings.retries ?? 3,
    retryDelayMs: settings.retry_delay ?? 5000,
    prefetch: settings.prefetch !== 'off',
    stallThresholds: (settings.stall_thresholds ?? {}) as Readonly<Record<string, number>>,
  }
}
