import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { formatTime, parseTarget } from '../binlog/target.ts'
import { RestoreError } from '../errors.ts'
import { formatDuration, formatIso } from '../format.ts'
import { absoluteSource, nameOfSource, type SourceRef, sourceRefSchema } from '../source/source-ref.ts'
import * as form from './forms.ts'

/**
 * The options of a restore, one row each. Everything that must know all options reads this table: the flags and
 * `--help` of `restore`, the schemas of restore.yaml, serve.yaml and of the options in state.json, the table in
 * docs/configuration.md, and what a resumed restore takes anew. A new option is a row here and the code that uses it.
 *
 * `resume` says what becomes of the option when an unfinished restore is started again with another value:
 *
 *   live    taken: the next tool, step or check reads it
 *   fixed   taken only while the restore has created nothing; after that it keeps the value it began with
 *   call    belongs to this call alone, such as how it prints; nobody is told
 *   same    identifies the restore; another value is another restore
 */
export type OptionResume = 'live' | 'fixed' | 'call' | 'same'

interface Option<K extends string, W extends z.ZodType, S extends z.ZodType> {
  /** Its key in restore.yaml. */
  key: K
  /** The flag and its argument; null for options of the file only. */
  flag: string | null
  /** The written form, as text or in YAML. */
  written: W
  /** The value, as options and state.json hold it; its default is the value of an option that is not given. */
  stored: S
  /** Converts the written form to the value, if they differ. */
  convert?(written: NonNullable<z.output<W>>, surroundings: Surroundings): z.output<S>
  /** A path: relative to the configuration file, or to the working directory for a flag. */
  isPath?: true
  resume: OptionResume
  /** Tools get it at their start, so a running tool keeps its value. */
  ofTools?: true
  /** A value as a person writes it. Default: text as it is, `on` or `off`, and `default` for null. */
  show?(value: NonNullable<z.output<S>>): string
  showNull?: string
  /** One line in --help. */
  help: string
  /** Additions for docs/configuration.md: the default, and more than `help` says. */
  doc?: { default?: string; text?: string }
}

const option = <const K extends string, W extends z.ZodType, S extends z.ZodType>(row: Option<K, W, S>) => row

const textOrNull = z.string().nullable().default(null)
const numberOrNull = z.number().nullable().default(null)
const off = z.boolean().default(false)
const count = z.number().int().nonnegative()
const path = { written: form.path, isPath: true } as const
const onOff = { written: form.flag, stored: off } as const
const chain = z.array(sourceRefSchema).min(1)
const showChain = (refs: readonly SourceRef[]) => refs.map(nameOfSource).join(' ')

const TABLE = {
  /** The chain, full backup first. */
  sources: option({
    key: 'source',
    flag: null,
    written: form.sources,
    stored: chain,
    resume: 'same',
    help: 'stream file, http, https or s3 URL, extracted directory, or - for standard input; a chain: full first, then incrementals',
  }),
  /** The name of a backup in the place that `sources` names, or `latest`; null: the sources are the backup itself. */
  backup: option({
    key: 'backup',
    flag: '--backup <name>',
    written: form.text('the name of a backup, or latest'),
    stored: textOrNull,
    resume: 'same',
    help: 'SOURCE is a place that holds backups: restore this one with its chain, by its name in list, or latest',
  }),
  /** Unix ms. */
  beforeMs: option({
    key: 'before',
    flag: '--before <time>',
    written: form.time,
    stored: numberOrNull,
    resume: 'same',
    show: formatIso,
    showNull: 'none',
    help: 'of the backups in a place only those that list shows with an earlier time; ISO 8601, without a zone UTC',
    doc: { text: 'Alone it means the latest of them' },
  }),
  layout: option({
    key: 'layout',
    flag: '--layout <name>',
    written: form.text('the name of a layout'),
    stored: textOrNull,
    resume: 'same',
    help: 'how the backups lie in the place: xbcloud, wal-g, myhoard, mariadb-operator or plain',
    doc: { default: 'by what is there' },
  }),
  datadir: option({
    ...path,
    key: 'datadir',
    flag: '--datadir <dir>',
    stored: z.string(),
    resume: 'same',
    help: 'data directory to restore into; absent or empty',
  }),
  /** Null: beside the datadir. */
  targetDir: option({
    ...path,
    key: 'target_dir',
    flag: '--target-dir <dir>',
    stored: textOrNull,
    resume: 'fixed',
    help: 'where the backup is extracted and prepared; must not exist',
    doc: {
      default: '`<datadir>.restore-<id>`',
      text: 'Beside the datadir, move-back is a rename. Where the datadir is a mount point, its side is another file system: name a directory with room, or a folder below the mount point as the datadir',
    },
  }),
  stateDir: option({
    ...path,
    key: 'state_dir',
    flag: '--state-dir <dir>',
    stored: z.string(),
    // Identifies the state; its value at the first start does not matter.
    resume: 'same',
    help: 'directory of the state, the lock and the logs of the tools; one restore at a time in each',
    doc: { default: '`/var/lib/restore-agent` for root, else `$XDG_STATE_HOME/restore-agent`' },
  }),
  tool: option({
    key: 'tool',
    flag: '--tool <name>',
    written: form.choice(['auto', 'xtrabackup', 'mariadb-backup']),
    stored: z.enum(['auto', 'xtrabackup', 'mariadb-backup']).default('auto'),
    resume: 'fixed',
    help: 'auto, xtrabackup or mariadb-backup; auto takes the one that made the backup',
    doc: { default: '`auto`' },
  }),
  toolPath: option({
    ...path,
    key: 'tool_path',
    flag: null,
    stored: textOrNull,
    resume: 'fixed',
    help: 'the tool to use, with the extractor beside it',
    doc: { default: 'the tool on PATH' },
  }),
  /** Tools and directories to look for tools in; of several, the one that fits the backup. */
  toolPaths: option({
    key: 'tool_paths',
    flag: '--tool-path <path>',
    written: form.paths,
    stored: z.array(z.string()).default([]),
    isPath: true,
    resume: 'fixed',
    show: paths => paths.join(' ') || 'none',
    help: 'a tool with its extractor beside it, or a directory of tools such as /opt/percona/*; may be given again',
    doc: { text: 'Of several, the one that fits the backup is taken, and told' },
  }),
  memory: option({
    key: 'use_memory',
    flag: '--use-memory <size>',
    written: form.memory,
    stored: z.union([z.number().positive(), z.literal('auto')]).default('auto'),
    resume: 'live',
    ofTools: true,
    show: value => (value === 'auto' ? value : showSize(value)),
    help: 'memory for prepare: auto, or a size such as 4G, 512M or plain bytes',
    doc: { default: '`auto`' },
  }),
  parallel: option({
    key: 'parallel',
    flag: '--parallel <n>',
    written: form.wholeNumber(1, 1024),
    stored: z.number().int().positive().nullable().default(null),
    resume: 'live',
    ofTools: true,
    help: 'threads of the tools, where the version has the option',
    doc: { default: 'number of CPUs' },
  }),
  decryptKeyFile: option({
    ...path,
    key: 'decrypt_key_file',
    flag: '--decrypt-key-file <file>',
    stored: textOrNull,
    resume: 'live',
    ofTools: true,
    showNull: 'none',
    help: 'passphrase file for gpg and openssl, key file for xbcrypt',
    doc: { text: 'A regular file, because each tool and each attempt reads it: not `<(…)`' },
  }),
  encryptionKeyFile: option({
    ...path,
    key: 'encryption_key_file',
    flag: '--encryption-key-file <file>',
    stored: textOrNull,
    resume: 'live',
    ofTools: true,
    showNull: 'none',
    help: 'key file of file_key_management on this host, for encrypted tables of MariaDB',
  }),
  rollbackPreparedTrx: option({
    ...onOff,
    key: 'rollback_prepared_trx',
    flag: '--rollback-prepared-trx',
    resume: 'live',
    ofTools: true,
    help: "xtrabackup rolls back the backup's prepared XA transactions; otherwise they wait for XA COMMIT or ROLLBACK",
    doc: { default: 'off' },
  }),
  opensslCipher: option({
    key: 'openssl_cipher',
    flag: '--openssl-cipher <name>',
    written: form.cipher,
    stored: z.string().default('aes-256-cbc'),
    resume: 'live',
    ofTools: true,
    help: 'cipher of a stream made with openssl enc -pbkdf2',
    doc: { default: '`aes-256-cbc`' },
  }),
  /** Names or numeric ids, as written. Group null: the user's primary group. */
  owner: option({
    key: 'owner',
    flag: '--owner <user[:group]>',
    written: form.owner,
    stored: z.object({ user: z.string(), group: z.string().nullable() }).nullable().default(null),
    resume: 'live',
    show: ({ user, group }) => (group === null ? user : `${user}:${group}`),
    help: 'owner of the restored files, by names or numbers; a user alone brings its primary group',
    doc: { default: 'the owner of the datadir, or of its folder' },
  }),
  startCheck: option({
    ...onOff,
    key: 'start_check',
    flag: '--start-check',
    resume: 'live',
    help: 'start a private server on the result and check its tables',
    doc: {
      default: 'off',
      text: 'It opens every table (1 to 2 ms each), runs as the owner, never as root, and must be of the series of the backup',
    },
  }),
  /** The place that holds binlogs to apply after the restore; null: none are applied. */
  binlogs: option({
    key: 'binlogs',
    flag: '--binlogs <source>',
    written: form.binlogs,
    stored: sourceRefSchema.nullable().default(null),
    resume: 'fixed',
    show: nameOfSource,
    showNull: 'none',
    help: 'directory or prefix of binlogs to apply after the restore: point-in-time recovery',
    doc: {
      default: 'none',
      text: 'Plain files, `.gz`, `.zst`, `.lz4`, `.xz` or `.bz2`. See [point-in-time.md](point-in-time.md)',
    },
  }),
  /** Unix ms. */
  toTime: option({
    key: 'to_time',
    flag: '--to-time <time>',
    written: form.time,
    stored: numberOrNull,
    resume: 'fixed',
    show: formatTime,
    showNull: 'none',
    help: 'apply binlogs up to the first transaction that was committed later than this ISO time; without a zone it is UTC',
    doc: { default: 'none' },
  }),
  toGtid: option({
    key: 'to_gtid',
    flag: '--to-gtid <set>',
    written: form.targetGtid,
    stored: textOrNull,
    resume: 'fixed',
    showNull: 'none',
    help: 'apply binlogs up to the first point that has all of this GTID set',
    doc: { default: 'none' },
  }),
  toPosition: option({
    key: 'to_position',
    flag: '--to-position <file:pos>',
    written: form.targetPosition,
    stored: textOrNull,
    resume: 'fixed',
    showNull: 'none',
    help: 'apply the events of binlogs that end at or before this position, such as binlog.000007:1234',
    doc: { default: 'none' },
  }),
  toEnd: option({
    ...onOff,
    key: 'to_end',
    flag: '--to-end',
    resume: 'fixed',
    help: 'apply all binlogs; so it is without another target',
    doc: { default: 'off' },
  }),
  binlogServerId: option({
    key: 'binlog_server_id',
    flag: '--binlog-server-id <id>',
    written: form.wholeNumber(0, 4_294_967_295),
    stored: count.nullable().default(null),
    resume: 'fixed',
    showNull: 'any',
    help: 'server_id of the server whose binlogs to apply, where the place holds those of several',
    doc: { default: 'any' },
  }),
  allowEarlier: option({
    ...onOff,
    key: 'allow_earlier',
    flag: '--allow-earlier',
    resume: 'fixed',
    help: 'where the binlogs end before the target, apply what there is, and say so',
    doc: { default: 'off' },
  }),
  inPlace: option({
    ...onOff,
    key: 'in_place',
    flag: '--in-place',
    resume: 'fixed',
    help: 'consume the source directory instead of copying it',
    doc: { default: 'off' },
  }),
  allowOutside: option({
    ...onOff,
    key: 'allow_outside',
    flag: '--allow-outside',
    resume: 'live',
    help: 'let the backup place tables outside the datadir (DATA DIRECTORY), where it says',
    doc: { default: 'off' },
  }),
  runToolsAs: option({
    key: 'run_tools_as',
    flag: '--run-tools-as <user>',
    written: form.choice(['owner', 'agent']),
    stored: z.enum(['owner', 'agent']).default('owner'),
    resume: 'fixed',
    help: "owner or agent; under root, whose rights the tools have: the restored files' owner, or root",
    doc: { default: '`owner`' },
  }),
  /** Unix ms by which the restore must have ended. */
  deadlineMs: option({
    key: 'deadline',
    flag: '--deadline <time>',
    written: form.deadline,
    stored: numberOrNull,
    convert: (written, { nowMs }) => ('atMs' in written ? written.atMs : nowMs + written.inMs),
    resume: 'live',
    show: formatIso,
    showNull: 'none',
    help: 'when the restore must have ended: an ISO time, or a duration from its beginning such as 6h',
    doc: { text: 'For the alert RestoreDeadlineAtRisk' },
  }),
  /** The deadline as a duration from the beginning of the restore, if it was given so. It is shown as `deadlineMs`. */
  deadlineAfterMs: option({
    key: 'deadline',
    flag: null,
    written: form.deadline,
    stored: numberOrNull,
    convert: written => ('inMs' in written ? written.inMs : null),
    resume: 'call',
    help: '',
  }),
  stallTimeoutMs: option({
    key: 'stall_timeout',
    flag: '--stall-timeout <duration>',
    written: form.duration,
    stored: numberOrNull,
    resume: 'live',
    show: showDuration,
    help: 'how long without progress counts as stalled, in every step',
    doc: { default: 'by step' },
  }),
  /** Milliseconds by step, phase or `default`; only what was configured. */
  stallThresholds: option({
    key: 'stall_thresholds',
    flag: '--stall-threshold <step=duration>',
    written: form.stallThresholds,
    stored: z.record(z.string(), z.number()).default({}),
    convert: written => written as Record<string, number>,
    resume: 'live',
    show: value =>
      Object.entries(value)
        .map(([step, ms]) => `${step}=${showDuration(ms)}`)
        .join(', ') || 'none',
    help: 'the same for one step or phase; may be given again',
    doc: { default: 'by step' },
  }),
  stallAction: option({
    key: 'stall_action',
    flag: '--stall-action <action>',
    written: form.choice(['warn', 'fail']),
    stored: z.enum(['warn', 'fail']).default('warn'),
    resume: 'live',
    help: 'warn or fail; fail ends a stalled restore',
    doc: { default: '`warn`' },
  }),
  /** Attempts after the first, for failures that may pass. */
  retries: option({
    key: 'retries',
    flag: '--retries <n>',
    written: form.wholeNumber(0, 100),
    stored: count.default(3),
    resume: 'live',
    help: 'attempts after the first, for failures that may pass',
    doc: { default: '3' },
  }),
  /** Before the first of them; doubled each time. */
  retryDelayMs: option({
    key: 'retry_delay',
    flag: '--retry-delay <duration>',
    written: form.duration,
    stored: count.default(5000),
    resume: 'live',
    show: showDuration,
    help: 'pause before the first retry; doubled each time, with jitter',
    doc: { default: '5s' },
  }),
  /** While the state cannot be written, no work begins; after this time the restore ends. */
  stateWaitMs: option({
    key: 'state_wait',
    flag: '--state-wait <duration>',
    written: form.duration,
    stored: count.default(600_000),
    resume: 'live',
    show: showDuration,
    help: 'how long to wait for a state dir that cannot be written, before the restore ends',
    doc: { default: '10m' },
  }),
  /** Chains to go back to, newest first, when this backup cannot be restored. */
  olderBackups: option({
    key: 'older_backups',
    flag: null,
    written: form.olderBackups,
    stored: z.array(chain).default([]),
    resume: 'live',
    show: chains => chains.map(showChain).join(', ') || 'none',
    help: 'a list of backups to go back to, newest first, each a source or a list of sources',
  }),
  /** Fetch the next element of a chain while this one is prepared, when there is room. */
  prefetch: option({
    key: 'prefetch',
    flag: '--prefetch <when>',
    written: form.choice(['auto', 'off']),
    stored: z.boolean().default(true),
    convert: written => written !== 'off',
    resume: 'live',
    show: value => (value ? 'auto' : 'off'),
    help: 'fetch the next element of a chain while this one is prepared: auto or off',
    doc: { default: '`auto`' },
  }),
  /** Bytes a second. */
  maxBandwidth: option({
    key: 'max_bandwidth',
    flag: '--max-bandwidth <size>',
    written: form.bandwidth,
    stored: z.number().positive().nullable().default(null),
    resume: 'live',
    ofTools: true,
    show: value => `${showSize(value)}/s`,
    showNull: 'none',
    help: 'bytes a second that are read of a URL at most, such as 50M',
    doc: { default: 'none' },
  }),
  s3Endpoint: option({
    key: 's3_endpoint',
    flag: '--s3-endpoint <url>',
    written: form.endpoint,
    stored: textOrNull,
    resume: 'live',
    ofTools: true,
    showNull: 'AWS',
    help: 'URL of a store that speaks S3, such as https://minio.example.com:9000; for S3 alone, never for STS',
    doc: { default: '`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or AWS' },
  }),
  s3Region: option({
    key: 's3_region',
    flag: '--s3-region <name>',
    written: form.region,
    stored: textOrNull,
    resume: 'live',
    ofTools: true,
    showNull: 'as configured for AWS',
    help: 'region of the bucket',
    doc: { default: "`AWS_REGION`, the profile's, or what the store answers" },
  }),
  s3Addressing: option({
    key: 's3_addressing',
    flag: '--s3-addressing <style>',
    written: form.choice(['auto', 'path', 'virtual']),
    stored: z.enum(['auto', 'path', 'virtual']).default('auto'),
    resume: 'live',
    ofTools: true,
    help: "auto, path (HOST/BUCKET/KEY) or virtual (BUCKET.HOST/KEY); auto is path with an endpoint of one's own",
    doc: { default: '`auto`' },
  }),
  s3RequesterPays: option({
    ...onOff,
    key: 's3_requester_pays',
    flag: '--s3-requester-pays',
    resume: 'live',
    ofTools: true,
    help: 'the reader pays for requests and traffic of the bucket',
    doc: { default: 'off' },
  }),
  s3SseKeyFile: option({
    ...path,
    key: 's3_sse_key_file',
    flag: '--s3-sse-key-file <file>',
    stored: textOrNull,
    resume: 'live',
    ofTools: true,
    showNull: 'none',
    help: 'key of SSE-C: 32 bytes, as they are, in base64 or in hex',
    doc: { default: '`RESTORE_AGENT_S3_SSE_KEY`, or none' },
  }),
  /** Free bytes below which nothing more is extracted; null: 1 % of the file system, at most 1 GiB. */
  diskReserve: option({
    key: 'disk_reserve',
    flag: '--disk-reserve <size>',
    written: form.reserve,
    stored: z.number().nonnegative().nullable().default(null),
    resume: 'live',
    show: showSize,
    showNull: '1 % of the file system, at most 1G',
    help: 'stop extracting while so much is still free on the file system of the target dir; 0: fill it',
    doc: { default: '1 % of the file system, at most 1G; 0 below 10G' },
  }),
  dryRun: option({
    ...onOff,
    key: 'dry_run',
    flag: '--dry-run',
    resume: 'call',
    help: 'check everything, print the plan, change nothing',
    doc: { default: 'off' },
  }),
  json: option({
    ...onOff,
    key: 'json',
    flag: '--json',
    resume: 'call',
    help: 'one JSON object a line on stdout',
    doc: { default: 'off' },
  }),
  quiet: option({
    ...onOff,
    key: 'quiet',
    flag: '--quiet',
    resume: 'call',
    help: 'print errors only',
    doc: { default: 'off' },
  }),
  /** False: none. True: as the terminal and NO_COLOR say. */
  color: option({
    key: 'color',
    flag: '--no-color',
    written: form.flag,
    stored: z.boolean().default(true),
    resume: 'call',
    help: 'no colours',
    doc: { default: 'as the terminal and NO_COLOR say' },
  }),
}

type Table = typeof TABLE
export type OptionName = keyof Table

/**
 * All options of a restore with defaults filled in: absolute paths, sizes in bytes, times in ms; null is "not given".
 */
export type RestoreOptions = Immutable<z.output<typeof optionsSchema>>

/** The same type, deeply readonly. */
export type Immutable<T> = T extends readonly (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Immutable<T[Key]> }
    : T

/** A row without the types of its own value. */
export type OptionRow = Omit<Option<RestoreKey, z.ZodType, z.ZodType>, 'show' | 'convert'> & {
  show?(value: unknown): string
  convert?(written: unknown, surroundings: Surroundings): unknown
}
export const OPTIONS = TABLE as unknown as Readonly<Record<OptionName, OptionRow>>
export const OPTION_NAMES = Object.keys(TABLE) as OptionName[]

/** In state.json. */
export const optionsSchema = z.object(
  Object.fromEntries(OPTION_NAMES.map(name => [name, OPTIONS[name].stored])) as unknown as {
    [N in OptionName]: Table[N]['stored']
  },
)

type Written = { [N in OptionName as Table[N]['key']]: Table[N]['written'] }

/**
 * restore.yaml, and the flags by their keys. Messages never repeat a value, which might be a secret in the wrong place.
 */
export const restoreSchema = z
  .strictObject(
    Object.fromEntries(OPTION_NAMES.map(name => [OPTIONS[name].key, OPTIONS[name].written])) as unknown as Written,
    { error: issue => (issue.code === 'invalid_type' ? 'must be a mapping of keys to values' : undefined) },
  )
  .partial()

export type RestoreSettings = z.output<typeof restoreSchema>
export type RestoreKey = keyof Written
export const RESTORE_KEYS = Object.keys(restoreSchema.shape) as RestoreKey[]

/** An option's value as a person writes it. */
export function showOption(name: OptionName, value: unknown): string {
  const { show, showNull = 'default' } = OPTIONS[name]
  if (value === null) return showNull
  if (show) return show(value)
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
}

/** As it would be written to mean exactly this. */
function showSize(bytes: number): string {
  const unit = (['T', 'G', 'M', 'K'] as const).find((_, index) => bytes % 1024 ** (4 - index) === 0)
  return unit === undefined ? String(bytes) : `${bytes / 1024 ** { T: 4, G: 3, M: 2, K: 1 }[unit]}${unit}`
}

function showDuration(ms: number): string {
  return ms % 1000 === 0 ? formatDuration(ms).replace(' ', '') : `${ms}ms`
}

/** What defaults depend on. */
export interface Surroundings {
  cwd: string
  env: Readonly<Record<string, string | undefined>>
  isRoot: boolean
  nowMs: number
}

/** The same settings with each relative path made absolute from `folder`. */
export function fromFolder(settings: RestoreSettings, folder: string): RestoreSettings {
  const absolute: Record<string, unknown> = { ...settings }
  for (const { key, isPath } of Object.values(OPTIONS))
    if (isPath && absolute[key] !== undefined)
      absolute[key] = Array.isArray(absolute[key])
        ? absolute[key].map(path => resolve(folder, path))
        : resolve(folder, absolute[key] as string)
  const fromHere = (refs: readonly SourceRef[]) => refs.map(ref => absoluteSource(ref, folder))
  if (settings.source !== undefined) absolute.source = fromHere(settings.source)
  if (settings.binlogs !== undefined) absolute.binlogs = absoluteSource(settings.binlogs, folder)
  if (settings.older_backups !== undefined) absolute.older_backups = settings.older_backups.map(fromHere)
  return absolute as RestoreSettings
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
  const given: RestoreSettings = { state_dir: defaultStateDir(surroundings), ...settings }
  const values = OPTION_NAMES.map(name => {
    const { key, convert } = OPTIONS[name]
    const written = given[key]
    return [name, written !== undefined && convert ? convert(written, surroundings) : written]
  })
  const odd = [
    ...Object.values(OPTIONS)
      .filter(({ isPath }) => isPath)
      .map(({ key }) => given[key]),
    ...settings.source.map(nameOfSource),
  ]
  if (odd.some(path => String(path).includes('\ufffd')))
    throw new RestoreError('usage', 'a path of this restore is not UTF-8, perhaps that of the working directory', {
      hint: 'give a path that is UTF-8, such as a link to that directory',
    })
  const { success, data, error } = optionsSchema.safeParse(Object.fromEntries(values))
  if (!success) throw error // a bug: the written form accepted what the stored one refuses
  checkTarget(data)
  return data
}

/** Throws `usage` for two targets, and for one without binlogs. */
function checkTarget(options: RestoreOptions): void {
  parseTarget(options)
  const given = TARGETS.filter(name => options[name] !== null && options[name] !== false)
  if (options.binlogs !== null || given.length === 0) return
  throw new RestoreError('usage', `${OPTIONS[given[0]!].flag!.split(' ')[0]} needs --binlogs`, {
    hint: 'name the directory or prefix that holds the binlogs with --binlogs',
  })
}

/** What a point-in-time recovery is told. */
export const RECOVERY_OPTIONS = [
  'binlogs',
  'toTime',
  'toGtid',
  'toPosition',
  'toEnd',
  'binlogServerId',
  'allowEarlier',
] as const satisfies OptionName[]

/** `own` over `base`: a target of its own replaces the other's, whichever of the four keys it is. */
export function overriding<T extends RestoreSettings>(base: T, own: RestoreSettings): T {
  const hasTarget = TARGETS.some(name => own[OPTIONS[name].key] !== undefined)
  const kept = Object.entries(base).filter(([key]) => !hasTarget || !TARGETS.some(name => OPTIONS[name].key === key))
  return { ...Object.fromEntries(kept), ...own } as T
}

/** Of these, one is given; one on the command line overrides one in a file. */
export const TARGETS = ['toTime', 'toGtid', 'toPosition', 'toEnd'] as const satisfies OptionName[]
