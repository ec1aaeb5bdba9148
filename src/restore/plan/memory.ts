import type { BackupDescription } from '../../backup/backup.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import type { AvailableMemory } from '../../process/memory.ts'
import type { ExtractedFacts, Plan } from './plan.ts'

/** Left to the system and the agent. */
const SHARE = 0.7

/**
 * Memory for prepare: what was asked for; else 70 % of what is available, at least the tool's floor, at most what recovery can
 * use. That is every page of the data files beside every byte of redo: a pool beyond it stays empty.
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
      ? { bytes: floorBytes, reason: `the least that prepare needs; ${formatBytes(asked)} were asked for` }
      : { bytes: asked, reason: 'as asked' }
  const share = Math.max(floorBytes, wholeMegabytes(available.bytes * SHARE))
  const usable = usableBytes(description, extracted)
  if (usable !== null && usable < share)
    return { bytes: Math.max(floorBytes, wholeMegabytes(usable)), reason: 'no more is of use to this backup' }
  const lessLater = extracted === null ? '; less where the backup turns out to have no use for it' : ''
  return {
    bytes: share,
    reason: `70 % of the ${formatBytes(available.bytes)} available (${available.reason})${lessLater}`,
  }
}

function usableBytes({ redoMemoryBytes }: BackupDescription, extracted: ExtractedFacts | null): number | null {
  if (extracted?.redoBytes == null) return null
  // A quarter more: the pool also holds hash tables and the descriptors of its pages.
  return 1.25 * (Math.max(redoMemoryBytes ?? 0, extracted.redoBytes) + extracted.dataFileBytes)
}

const wholeMegabytes = (bytes: number): number => Math.ceil(bytes / 1048576) * 1048576
