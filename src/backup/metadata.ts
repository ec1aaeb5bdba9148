import { RestoreError } from '../errors.ts'
import { serverUuidOf } from './backup.ts'
import { type BinlogPosition, parseBinlogInfo } from './binlog-info.ts'
import { type Checkpoints, parseCheckpoints } from './checkpoints.ts'
import { type MetadataRole, metadataRole } from './file-name.ts'
import { type BackupInfo, parseInfo } from './info.ts'

/** The metadata files of a backup, parsed; null where a file is absent or could not be unpacked. */
export interface Metadata {
  checkpoints: Checkpoints | null
  info: BackupInfo | null
  binlog: BinlogPosition | null
  serverUuid: string | null
  replica: string | null
  galera: string | null
}

/**
 * Parses metadata files, given by path and unpacked content; other paths are passed over. `name` is what errors call
 * the backup. Throws `backup_incomplete` or `source_corrupt`, with file and line.
 */
export function parseMetadata(files: ReadonlyMap<string, string>, name: string): Metadata {
  const metadata: Metadata = {
    checkpoints: null,
    info: null,
    binlog: null,
    serverUuid: null,
    replica: null,
    galera: null,
  }
  for (const [path, text] of files) {
    const where = `${name}: ${path}`
    const role = metadataRole(path)
    if (role === 'checkpoints') metadata.checkpoints = parseCheckpoints(text, where)
    if (role === 'info') metadata.info = parseInfo(text, where)
    if (role === 'binlog_info') metadata.binlog = parseBinlogInfo(text, where)
    if (role === 'slave_info') metadata.replica = oneLine(text)
    if (role === 'galera_info') metadata.galera = oneLine(text)
    if (role === 'config') metadata.serverUuid = serverUuidOf(text)
  }
  return metadata
}

const oneLine = (text: string): string | null =>
  text
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .slice(0, 4096) || null

/** Every finished backup of either tool has these; the binlog position is there only with the binlog on. */
const REQUIRED: Readonly<Partial<Record<MetadataRole, string>>> = {
  checkpoints: 'xtrabackup_checkpoints (or mariadb_backup_checkpoints)',
  info: 'xtrabackup_info (or mariadb_backup_info)',
  config: 'backup-my.cnf',
}

/** The error for metadata files that are not among `paths`, packed or not; null when all are there. */
export function missingMetadata(paths: Iterable<string>, name: string): RestoreError | null {
  const roles = new Set([...paths].map(metadataRole))
  const missing = Object.entries(REQUIRED).filter(([role]) => !roles.has(role as MetadataRole))
  if (missing.length === 0) return null
  const files = missing.map(([, file]) => file).join(', ')
  return new RestoreError('backup_incomplete', `${name} has no ${files}: it was cut off, or the backup never finished`)
}
