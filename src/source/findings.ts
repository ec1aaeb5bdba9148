import type { BackupEvidence } from '../backup/backup.ts'
import { RestoreError } from '../errors.ts'
import type { Filters } from './filter.ts'

export interface InspectOptions {
  filters: Filters
  /** For gpg and openssl; null when the user gave none. */
  keyFile: string | null
  /**
   * Read every byte and check every checksum. Consumes a pipe. Without it a bare stream in a file is read by its chunk
   * headers, and of a packed one or of a pipe only the head.
   */
  full: boolean
  /** Bytes of the source looked at so far, where that is known. */
  onProgress?: (doneBytes: number) => void
  signal?: AbortSignal
}

/** What one inspection adds to the evidence that is the same for every kind of source. */
export type Findings = Partial<Omit<BackupEvidence, 'name' | 'problem'>> & { problem?: RestoreError | null }

/** Runs `work` and gives the error that is the backup's own fault instead of throwing it. */
export async function problemIn(work: () => void | Promise<void>): Promise<RestoreError | null> {
  try {
    await work()
    return null
  } catch (thrown) {
    if (thrown instanceof RestoreError && BACKUP_FAULTS.has(thrown.code)) return thrown
    throw thrown
  }
}

const BACKUP_FAULTS: ReadonlySet<string> = new Set(['source_truncated', 'source_corrupt', 'backup_incomplete'])
