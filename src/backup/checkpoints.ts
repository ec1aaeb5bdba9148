import { numberOf, readKeyValues, requiredNumber, requiredText } from './key-values.ts'

/**
 * What `xtrabackup_checkpoints` or `mariadb_backup_checkpoints` says. LSNs are bytes of redo, exact below 2^53; null
 * where the tool did not write the key.
 */
export interface Checkpoints {
  /** `full-backuped`, `incremental`, `log-applied`, `full-prepared`; another text is kept as it is. */
  backupType: string
  fromLsn: number
  /** The checkpoint the backup began from; the next incremental's `fromLsn`. Not the start of recovery. */
  toLsn: number
  /** Where the redo ends: recovery must reach it. */
  lastLsn: number
  flushedLsn: number | null
  /**
   * Memory that xtrabackup's estimate wants for the redo, in bytes; null without `--estimate-memory` (written as 0).
   */
  redoMemoryBytes: number | null
  redoFrames: number | null
}

/** Parses a checkpoints file; `file` names it in errors. Throws `backup_incomplete` or `source_corrupt`. */
export function parseCheckpoints(text: string, file: string): Checkpoints {
  const values = readKeyValues(text, file)
  return {
    backupType: requiredText(values, 'backup_type'),
    fromLsn: requiredNumber(values, 'from_lsn'),
    toLsn: requiredNumber(values, 'to_lsn'),
    lastLsn: requiredNumber(values, 'last_lsn'),
    flushedLsn: numberOf(values, 'flushed_lsn'),
    redoMemoryBytes: numberOf(values, 'redo_memory') || null,
    redoFrames: numberOf(values, 'redo_frames') || null,
  }
}
