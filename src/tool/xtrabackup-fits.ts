import type { BackupVersions, Fit } from './tool.ts'
import { compareVersions, formatVersion, parseVersion, seriesOf, type Version } from './version.ts'

/** The last patch of 8.0 that changed the files: any later xtrabackup 8.0 reads them (Percona's release notes). */
const LAST_CHANGE_OF_8_0 = 34

/**
 * Whether an xtrabackup restores a backup. Each series of MySQL has its own xtrabackup, which reads no other series'
 * redo: 2.4 for MySQL 5.5 to 5.7 and MariaDB 10.0 and 10.1, 8.0 for 8.0, 8.4 for 8.4, and one for each innovation
 * release. Within 8.0 the redo format changed with patches, so the tool must not be older than the server, until the
 * last change.
 */
export function xtrabackupFits(toolVersion: string | null, backup: BackupVersions): Fit {
  const tool = parseVersion(toolVersion ?? '')
  const maker = parseVersion(backup.tool ?? '')
  const server = parseVersion(backup.server ?? '')
  if (tool === null) return { fits: true, warning: 'the version of xtrabackup is unknown' }
  if (tool.major < 2 || (tool.major === 2 && tool.minor < 4))
    return { fits: false, reason: `xtrabackup ${formatVersion(tool)} is not supported: use 2.4 or later` }
  const need = server === null ? (maker === null ? null : seriesOfMaker(maker)) : seriesFor(server)
  if (need === null) {
    return server === null
      ? { fits: true, warning: 'the backup does not say which version made it' }
      : { fits: false, reason: `the backup is of MariaDB ${seriesOf(server)}: it needs mariadb-backup` }
  }

  const have = `xtrabackup ${formatVersion(tool)}`
  if (seriesOf(tool) !== need)
    return { fits: false, reason: `${have} cannot restore this backup: it needs xtrabackup ${need}` }
  const oldest = server !== null && need === '8.0' ? server.patch : 0
  if (need === '8.0' && tool.patch < Math.min(oldest, LAST_CHANGE_OF_8_0)) {
    return {
      fits: false,
      reason: `${have} is older than the backup's MySQL 8.0.${oldest}: its redo log may have another format`,
    }
  }
  if (maker === null || compareVersions(tool, maker) >= 0) return { fits: true, warning: null }
  return tool.patch < maker.patch
    ? { fits: false, reason: `${have} is older than the xtrabackup ${formatVersion(maker)} that made the backup` }
    : { fits: true, warning: `${have} is an older build than the ${formatVersion(maker)} that made the backup` }
}

/** xtrabackup 2.4 restores the backups of 2.3 and older. */
const seriesOfMaker = (maker: Version): string => (maker.major === 2 ? '2.4' : seriesOf(maker))

/** The series of xtrabackup for a server; null for a MariaDB that has its own tool. */
function seriesFor({ major, minor }: Version): string | null {
  if (major >= 10) return major === 10 && minor <= 1 ? '2.4' : null
  return major === 5 ? '2.4' : `${major}.${minor}`
}
