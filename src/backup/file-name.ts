/** How a file inside a backup was packed by xtrabackup itself. */
export type InnerCompression = 'zst' | 'lz4' | 'qp'

export interface BackupFileName {
  /** The final name, without the suffixes of compression and encryption. */
  base: string
  compression: InnerCompression | null
  encrypted: boolean
}

/** Files that people put beside a backup, such as a schema dump: their suffixes are not the tools'. */
const STRAY = /\.(?:sql|txt|json|xml|ya?ml|html|md|sh|log|tar)\.(?:zst|lz4|qp)$/

/** Splits the suffixes off a path: `t1.ibd.zst.xbcrypt` was compressed, then encrypted. */
export function splitFileName(path: string): BackupFileName {
  const encrypted = path.endsWith('.xbcrypt')
  const inner = encrypted ? path.slice(0, -'.xbcrypt'.length) : path
  const match = STRAY.test(inner) ? null : /^(.+)\.(zst|lz4|qp)$/.exec(inner)
  return { base: match ? match[1]! : inner, compression: (match?.[2] as InnerCompression) ?? null, encrypted }
}

/** The metadata files by their role; both tools' names. */
export type MetadataRole = 'checkpoints' | 'info' | 'binlog_info' | 'slave_info' | 'galera_info' | 'config'

const METADATA: Readonly<Record<string, MetadataRole>> = {
  xtrabackup_checkpoints: 'checkpoints',
  mariadb_backup_checkpoints: 'checkpoints',
  xtrabackup_info: 'info',
  mariadb_backup_info: 'info',
  xtrabackup_binlog_info: 'binlog_info',
  mariadb_backup_binlog_info: 'binlog_info',
  xtrabackup_slave_info: 'slave_info',
  mariadb_backup_slave_info: 'slave_info',
  xtrabackup_galera_info: 'galera_info',
  mariadb_backup_galera_info: 'galera_info',
  'backup-my.cnf': 'config',
}

/** Which metadata file a path is, its packing apart; null for anything else. */
export function metadataRole(path: string): MetadataRole | null {
  const { base } = splitFileName(path)
  return Object.hasOwn(METADATA, base) ? METADATA[base]! : null
}
