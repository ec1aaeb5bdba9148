import type { BackupInfo } from './info.ts'

/** The two families of tools; `mariabackup` is mariadb-backup's old name, `innobackupex` xtrabackup's. */
export type ToolFamilyName = 'mariadb-backup' | 'xtrabackup'

/** The family the info file names. The version counts more than the name: it alone tells a renamed or linked binary. */
export function familyOfInfo(info: BackupInfo): ToolFamilyName | null {
  if (/mariadb/i.test(info.toolVersion ?? '')) return 'mariadb-backup'
  const name = info.toolName ?? ''
  if (/^(mariadb-backup|mariabackup)/.test(name)) return 'mariadb-backup'
  if (/^(xtrabackup|innobackupex)/.test(name)) return 'xtrabackup'
  return null
}

/**
 * Whether a backup of this type is prepared. MariaDB writes `log-applied` at the end of any prepare; xtrabackup writes
 * it after `--apply-log-only`, and the rollback is still to come.
 */
export function isPrepared(family: ToolFamilyName | null, backupType: string): boolean {
  return backupType === 'full-prepared' || (family === 'mariadb-backup' && backupType === 'log-applied')
}
