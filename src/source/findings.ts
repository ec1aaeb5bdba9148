import type { BackupEvidence } from '../backup/backup.ts'
import { RestoreError } from '../errors.ts'

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
