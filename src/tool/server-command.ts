import type { Command } from './command.ts'
import type { FamilyName } from './tool.ts'
import { compareVersions, parseVersion, seriesOf } from './version.ts'

export interface ServerOptions {
  program: string
  datadir: string
  /** Exists, of mode 0700 and the server's own: its socket and pid file are there. */
  directory: string
  /** As `serverSettings` gives them, and plugins. */
  settings: readonly string[]
}

/**
 * A server that nobody else can reach: no network, no binlog, no replication that starts by itself, no variables of the
 * datadir's mysqld-auto.cnf, a socket where only its own user comes. It changes as little as it can: no upgrade, no
 * dump of the buffer pool, no certificates.
 */
const privateServer = ({ program, datadir, directory, settings }: ServerOptions, more: readonly string[]): Command => ({
  file: program,
  args: [
    '--no-defaults',
    `--datadir=${datadir}`,
    `--tmpdir=${datadir}`, // a server that starts removes the temporary tables of all servers from its tmpdir
    `--socket=${socketIn(directory)}`,
    `--pid-file=${directory}/pid`,
    `--secure-file-priv=${directory}`, // the built-in default may not exist, and then MySQL does not start
    '--skip-networking',
    '--skip-log-bin',
    '--loose-skip-slave-start',
    '--loose-skip-replica-start',
    '--loose-mysqlx=OFF',
    '--loose-persisted-globals-load=OFF',
    '--loose-upgrade=NONE',
    '--loose-auto-generate-certs=OFF',
    '--loose-sha256-password-auto-generate-rsa-keys=OFF',
    '--loose-caching-sha2-password-auto-generate-rsa-keys=OFF',
    '--loose-innodb-buffer-pool-load-at-startup=OFF',
    '--loose-innodb-buffer-pool-dump-at-shutdown=OFF',
    ...more,
    ...settings,
  ],
})

/** A private server that is asked by SQL. Without grant tables everybody who reaches its socket is root. */
export const serverCommand = (options: ServerOptions): Command =>
  privateServer(options, ['--skip-grant-tables', '--loose-event-scheduler=DISABLED'])

export interface ApplyServerOptions extends ServerOptions {
  /** Exists, and is the server's own: relay logs, and the files with the position of replication. */
  relayDir: string
  /** Workers that apply in parallel and commit in the order of the binlog; 0: one thread applies all. */
  threads: number
  bufferPoolBytes: number
}

/** Names of the files in `relayDir` and in `directory`. */
export const RELAY_LOG = 'relay-bin'
export const RELAY_LOG_INFO = 'relay-log.info'
export const initFileIn = (directory: string): string => `${directory}/init.sql`

/**
 * A private server of MariaDB that applies relay logs. It reads the grant tables: without them it refuses a replicated
 * CREATE USER (error 1290), and with them nobody can log in for sure. So the statements that make it apply are in its
 * init file. The event scheduler runs no event, but is not DISABLED, which refuses a replicated CREATE EVENT (1577).
 * Strict mode of InnoDB could refuse a CREATE TABLE that the other server took.
 *
 * A crash of the server loses nothing with innodb_flush_log_at_trx_commit=2, and the position of replication is in the
 * transactions themselves; after a power cut, apply begins again where the data stand.
 */
export const applyServerCommand = (options: ApplyServerOptions): Command =>
  privateServer(options, [
    `--init-file=${initFileIn(options.directory)}`,
    '--server-id=4294967295',
    '--replicate-same-server-id', // whichever server the events are of
    '--event-scheduler=OFF',
    `--relay-log=${options.relayDir}/${RELAY_LOG}`,
    `--relay-log-info-file=${options.relayDir}/${RELAY_LOG_INFO}`,
    `--master-info-file=${options.relayDir}/master.info`,
    `--slave-load-tmpdir=${options.relayDir}`,
    '--relay-log-purge=OFF',
    `--slave-parallel-threads=${options.threads}`,
    '--slave-parallel-mode=optimistic',
    '--max-allowed-packet=1G',
    '--slave-max-allowed-packet=1G',
    '--innodb-strict-mode=OFF',
    '--innodb-flush-log-at-trx-commit=2',
    `--innodb-buffer-pool-size=${options.bufferPoolBytes}`,
  ])

export const socketIn = (directory: string): string => `${directory}/socket`

/** Settings of backup-my.cnf that say how the files are laid out. Each has a value that can name no file outside. */
const LAYOUT: Readonly<Record<string, RegExp>> = {
  innodb_page_size: /^\d+[kK]?$/,
  innodb_data_file_path: /^[\w.:;-]+$/,
  innodb_undo_tablespaces: /^\d+$/,
  innodb_log_file_size: /^\d+$/,
  innodb_log_files_in_group: /^\d+$/,
  innodb_checksum_algorithm: /^\w+$/,
  lower_case_table_names: /^[012]$/,
}
/** A server that knows them no more must start nevertheless. */
const REMOVED_SINCE = new Set([
  'innodb_undo_tablespaces',
  'innodb_log_file_size',
  'innodb_log_files_in_group',
  'innodb_checksum_algorithm',
])

/** Encryption plugins that a backup may ask for: loaded by name from the server's own plugin directory. */
const ENCRYPTION_PLUGINS = new Set([
  'file_key_management',
  'keyring_file',
  'aws_key_management',
  'hashicorp_key_management',
])
const ENCRYPTION_SETTING = /^(?:file_key_management|keyring_file)_\w+$/

/** Options for the server, from the backup's backup-my.cnf; nothing that could run code of the backup. */
export function serverSettings(backupConfig: string): string[] {
  const settings: string[] = []
  for (const line of backupConfig.split('\n')) {
    const [, rawName = '', rawValue = ''] = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    const name = rawName.replaceAll('-', '_')
    const value = rawValue.replace(/^(["'])(.*)\1$/, '$2')
    if (
      Object.hasOwn(LAYOUT, name) &&
      LAYOUT[name]!.test(value) &&
      !isBelowMinimum(name, value) &&
      !value.includes('..')
    )
      settings.push(`--${REMOVED_SINCE.has(name) ? 'loose-' : ''}${name.replaceAll('_', '-')}=${value}`)
    else if (ENCRYPTION_SETTING.test(name)) settings.push(`--loose-${name.replaceAll('_', '-')}=${value}`)
    else if (name === 'plugin_load') settings.push(...encryptionPlugins(value))
  }
  return settings
}

/** MariaDB's prepare leaves an empty redo log of 12 KiB, which no server keeps. */
const isBelowMinimum = (name: string, value: string) => name === 'innodb_log_file_size' && Number(value) < 1024 * 1024

/** `name=library;…` or `library;…`, as `plugin_load` has them. */
const encryptionPlugins = (value: string): string[] =>
  value
    .split(/[;:]/)
    .map(entry => entry.replace(/^.*=/, '').replace(/\.so$/, ''))
    .filter(library => ENCRYPTION_PLUGINS.has(library))
    .map(library => (library === 'keyring_file' ? `--early-plugin-load=${library}.so` : `--plugin-load-add=${library}`))

/** Files of a datadir that only a plugin of the server reads. */
export interface PluginNeeds {
  hasArchive: boolean
  hasRocksDb: boolean
}

const COMPRESSION_PROVIDERS = ['bzip2', 'lz4', 'lzma', 'lzo', 'snappy'].map(name => `provider_${name}`)

/**
 * Plugins of MariaDB that the data may need, among those that are installed. With --skip-grant-tables the server does
 * not read the list in mysql.plugin. Any page may be compressed by any provider, and loading one changes nothing.
 */
export const enginePlugins = ({ hasArchive, hasRocksDb }: PluginNeeds, installed: readonly string[]): string[] =>
  [...COMPRESSION_PROVIDERS, ...(hasArchive ? ['ha_archive'] : []), ...(hasRocksDb ? ['ha_rocksdb'] : [])]
    .filter(name => installed.includes(`${name}.so`))
    .map(name => `--plugin-load-add=${name}`)

/**
 * Whether the server whose `--version` prints this banner is of the family that the backup is of. Debian links mysqld
 * to mariadbd.
 */
export const isServerOf = (family: FamilyName, banner: string): boolean =>
  /\bVer \d/.test(banner) && /MariaDB/i.test(banner) === (family === 'mariadb-backup')

/**
 * Why a server must not be started on the data of another version; null if it may. A newer series upgrades the files
 * at its first start, and an older one does not read them.
 */
export function serverMisfit(banner: string, dataVersion: string | null): string | null {
  const text = /\bVer (\S+)/.exec(banner)?.[1] ?? ''
  const version = parseVersion(text)
  const made = parseVersion(dataVersion ?? '')
  if (version === null || made === null) return null
  const [have, need] = [seriesOf(version), seriesOf(made)]
  if (have !== need)
    return compareVersions(version, made) > 0
      ? `${text} would upgrade the files of a ${need} server`
      : `${text} does not read the files of a ${need} server`
  // MySQL 8 refuses data of a later release of its own series.
  if (version.major >= 8 && version.major < 10 && version.patch < made.patch)
    return `${text} does not read the files of the newer ${dataVersion}`
  return null
}
