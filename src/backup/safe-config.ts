/**
 * A backup is not trusted, and prepare and move-back read its backup-my.cnf: `plugin_load` with a `plugin_dir` inside
 * the backup would run its code, `!include` and paths would read and write any file. So the tools get a file of allowed
 * settings only: sizes, numbers, switches and checksum names, paths inside the backup, and the names of plugins for
 * encryption and compression, which a tool looks up in its own plugin directory.
 */

const NUMBER = /^\d{1,20}[kmgtpe]?$/i
const SWITCH = /^(?:on|off|true|false|yes|no|0|1)$/i
const WORD = /^[\w-]{1,64}$/

const isInside = (path: string): boolean =>
  !path.startsWith('/') && !/[\u0000-\u001f\\]/.test(path) && !path.split('/').includes('..')

/** `ibdata1:12M;ibdata2:10M:autoextend:max:1G` */
const isDataFilePath = (value: string): boolean =>
  value.split(';').every(file => {
    const [path = '', size = '', ...rest] = file.split(':')
    return path !== '' && isInside(path) && /^\d+[kmgt]?$/i.test(size) && rest.every(word => WORD.test(word))
  })

const ENGINE_PLUGIN =
  /^(?:file_key_management|hashicorp_key_management|aws_key_management|keyring_(?:file|encrypted_file|vault|kmip|kms|okv)|provider_(?:bzip2|lz4|lzma|lzo|snappy))(?:\.so)?$/

/** `name`, `library.so` or `name=library.so`, several with `;` between. */
const isPluginList = (value: string): boolean =>
  value === '' || value.split(';').every(plugin => plugin.split('=').every(name => ENGINE_PLUGIN.test(name)))

type Check = (value: string) => boolean
const number: Check = value => NUMBER.test(value)
const flag: Check = value => SWITCH.test(value)
const word: Check = value => WORD.test(value)

const ALLOWED: Readonly<Record<string, Check>> = {
  innodb_checksum_algorithm: word,
  innodb_log_checksum_algorithm: word,
  innodb_log_checksums: flag,
  innodb_checksums: flag,
  innodb_fast_checksum: flag,
  innodb_data_file_path: isDataFilePath,
  innodb_data_home_dir: value => value === '' || isInside(value),
  innodb_undo_directory: isInside,
  innodb_log_group_home_dir: isInside,
  innodb_log_files_in_group: number,
  innodb_log_file_size: number,
  innodb_log_block_size: number,
  innodb_page_size: number,
  innodb_undo_tablespaces: number,
  innodb_compression_level: number,
  innodb_compression_algorithm: word,
  innodb_redo_log_encrypt: word,
  innodb_undo_log_encrypt: flag,
  innodb_encrypt_log: flag,
  innodb_buffer_pool_filename: value => value !== '' && !value.includes('/') && isInside(value),
  aria_block_size: number,
  lower_case_table_names: number,
  server_id: number,
  server_uuid: word,
  master_key_id: number,
  redo_log_version: number,
  file_key_management_encryption_algorithm: word,
  file_key_management_digest: word,
  file_key_management_use_pbkdf2: number,
  // The password of the key file; FILE: would name a file of this host.
  file_key_management_filekey: value => !/^FILE:/i.test(value),
  plugin_load: isPluginList,
  plugin_load_add: isPluginList,
}

export interface SafeConfig {
  /** The file that the tools get. */
  text: string
  /** Names of what was left out, in their order, each once. */
  dropped: readonly string[]
  /** Key file of the server that was backed up; null if none is named. */
  keyFile: string | null
  /** Password file of that server's key file (`FILE:`); the tools do not get it. */
  passwordFile: string | null
}

const KEY_FILE = 'file_key_management_filename'
const KEY_PASSWORD = 'file_key_management_filekey'

/**
 * Names are compared as MySQL does: `-` and `_` are the same. Values with quotes or trailing comments are left out.
 * `keyFile` is the key file on this host; the backup's own setting could name any file.
 */
export function safeConfig(text: string, keyFile: string | null = null): SafeConfig {
  const lines = ['[mysqld]']
  let namedKeyFile: string | null = null
  let passwordFile: string | null = null
  const dropped = new Set<string>()
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    if (line === '' || /^[#;]/.test(line) || /^\[[\w.-]+\]$/.test(line)) continue
    const [, name = '', value = ''] = /^([\w-]+)\s*(?:=\s*(.*))?$/s.exec(line) ?? []
    const key = name.toLowerCase().replaceAll('-', '_')
    if (key === KEY_FILE) namedKeyFile = value
    if (key === KEY_PASSWORD) passwordFile = /^FILE:(.*)/i.exec(value)?.[1] ?? null
    if (key === KEY_FILE && keyFile !== null) lines.push(`${key}=${keyFile}`)
    else if (Object.hasOwn(ALLOWED, key) && ALLOWED[key]!(value)) lines.push(`${key}=${value}`)
    else dropped.add(/^[\w-]+$/.test(name) ? key : line.split(/[\s=]/)[0]!.replace(/[^\w!.-]/g, '?'))
  }
  return { text: `${lines.join('\n')}\n`, dropped: [...dropped], keyFile: namedKeyFile, passwordFile }
}
