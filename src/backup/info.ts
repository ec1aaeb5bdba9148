import { type BinlogPosition, parseBinlogPos } from './binlog-info.ts'
import { numberOf, readKeyValues, textOf } from './key-values.ts'

/** What `xtrabackup_info` or `mariadb_backup_info` says; null where the tool did not write it. */
export interface BackupInfo {
  /** Of this backup, not of the server. */
  uuid: string | null
  toolName: string | null
  toolVersion: string | null
  serverVersion: string | null
  /** The tool's local time without zone, as written: `2026-01-15 01:10:00`. */
  startTime: string | null
  endTime: string | null
  binlog: BinlogPosition | null
  fromLsn: number | null
  toLsn: number | null
  partial: boolean | null
  incremental: boolean | null
  /** `file`, `xbstream`, `mbstream`, … */
  format: string | null
  compressed: boolean | null
  encrypted: boolean | null
  /** What the backup wrote, in bytes: `backup_size`, xtrabackup from 8.4.0-6. */
  backupBytes: number | null
  /** Before compression, in bytes: `uncompressed_backup_size`, xtrabackup from 8.4.0-6 and only with --compress. */
  uncompressedBytes: number | null
}

/** Parses an info file; `file` names it in errors. Throws `backup_incomplete` (empty) or `source_corrupt`. */
export function parseInfo(text: string, file: string): BackupInfo {
  const values = readKeyValues(text, file)
  const said = (key: string): boolean | null => {
    const value = textOf(values, key)
    return value === null ? null : value !== 'N'
  }
  return {
    uuid: textOf(values, 'uuid'),
    toolName: textOf(values, 'tool_name'),
    toolVersion: textOf(values, 'tool_version'),
    serverVersion: textOf(values, 'server_version'),
    startTime: textOf(values, 'start_time'),
    endTime: textOf(values, 'end_time'),
    binlog: parseBinlogPos(textOf(values, 'binlog_pos') ?? ''),
    fromLsn: numberOf(values, 'innodb_from_lsn'),
    toLsn: numberOf(values, 'innodb_to_lsn'),
    partial: said('partial'),
    incremental: said('incremental'),
    format: textOf(values, 'format'),
    compressed: said('compressed'),
    encrypted: said('encrypted'),
    backupBytes: numberOf(values, 'backup_size'),
    uncompressedBytes: numberOf(values, 'uncompressed_backup_size'),
  }
}
