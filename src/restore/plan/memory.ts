import type { BackupDescription } from '../../backup/backup.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import type { AvailableMemory } from '../../process/memory.ts'
import type { ExtractedFacts, Plan } from './plan.ts'

/** The rest is for the system and the agent. */
const SHARE = 0.7

/**
 * Memory for prepare: --use-memory, or 70 % of what is available, at least the tool's floor, at most what recovery
 * can use: all pages of the data files and all bytes of the redo log. Throws `memory`.
 */
export function chooseMemory(
  asked: number | 'auto',
  available: AvailableMemory,
  floorBytes: number,
  description: BackupDescription,
  extracted: ExtractedFacts | null,
): NonNullable<Plan['memory']> {
  if (asked !== 'auto' && asked > available.bytes)
    throw new RestoreError(
      'memory',
      `--use-memory asks for ${formatBytes(asked)}, ${formatBytes(available.bytes)} are available (${available.reason})`,
    )
  if (available.bytes < floorBytes)
    throw new RestoreError(
      'memory',
      `prepare needs at least ${formatBytes(floorBytes)}, ${formatBytes(available.bytes)} are available (${available.reason})`,
    )
  if (asked !== 'auto')
    return asked < floorBytes
      ? { bytes: floorBytes, reason: `the least that prepare needs; --use-memory says ${formatBytes(asked)}` }
      : { bytes: asked, reason: 'as --use-memory says' }
  const share = Math.max(floorBytes, wholeMegabytes(available.bytes * SHARE))
  const usable = usableBytes(description, extracted)
  if (usable !== null && usable < share)
    return { bytes: Math.max(floorBytes, wholeMegabytes(usable)), reason: 'prepare of this backup cannot use more' }
  const lessLater = extracted === null ? '; less if prepare of this backup cannot use it' : ''
  return {
    bytes: share,
    reason: `70 % of the ${formatBytes(available.bytes)} available (${available.reason})${lessLater}`,
  }
}

function usableBytes({ redoMemoryBytes }: BackupDescription, extracted: ExtractedFacts | null): number | null {
  if (extracted?.redoBytes == null) return null
  // A quarter more, for hash tables and page descriptors in the pool.
  return 1.25 * (Math.max(redoMemoryBytes ?? 0, extracted.redoBytes) + extracted.dataFileBytes)
}

const wholeMegabytes = (bytes: number): number => Math.ceil(bytes / 1048576) * 1048576
