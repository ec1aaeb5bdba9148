import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type TransferProgress, type TransferStats, transferProgressSchema } from './stats.ts'

/** Never throws: a full state dir must not stop a transfer. */
export function writeProgress(path: string, stats: TransferStats): void {
  try {
    writeFileSync(`${path}.tmp`, JSON.stringify(transferProgressSchema.parse(stats)), { mode: 0o600 })
    renameSync(`${path}.tmp`, path)
  } catch {
    // The last figures stay; the bytes go on.
  }
}

/** Null while there is none. */
export function readProgress(path: string): TransferProgress | null {
  try {
    return transferProgressSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}
