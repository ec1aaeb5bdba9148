import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import type { TransferStats } from './transfer.ts'

const progressSchema = z.object({
  writtenBytes: z.number(),
  retries: z.record(z.string(), z.number()),
  retrying: z.object({ type: z.string(), times: z.number() }).nullable(),
  active: z.number(),
  waiting: z.number(),
  networkMs: z.number(),
  toolMs: z.number(),
})

/** How far a transfer process is. */
export type TransferProgress = z.output<typeof progressSchema>

/** Never throws: a full state dir must not stop a transfer. */
export function writeProgress(path: string, stats: TransferStats, writtenBytes: number): void {
  try {
    writeFileSync(`${path}.tmp`, JSON.stringify({ writtenBytes, ...stats }), { mode: 0o600 })
    renameSync(`${path}.tmp`, path)
  } catch {
    // The last figures stay; the bytes go on.
  }
}

/** Null while there is none. */
export function readProgress(path: string): TransferProgress | null {
  try {
    return progressSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}
