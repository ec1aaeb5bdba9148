/**
 * How far recovery is. MariaDB scans all redo first, then reads it again and applies it batch by batch; xtrabackup scans and
 * applies in turns. Both are the same state here: `scannedBytes`, `coveredBytes` (redo whose pages are counted in batches
 * so far), the running batch, and what was learned from those before it, which are forgotten with the redo applied since.
 * redo-events.ts moves it by lines, activity.ts by bytes; redo-remaining.ts prices what is left.
 */
import type { WorkFacts } from './progress.ts'
import { weights } from './weights.ts'

export interface Redo {
  startLsn: number | null
  endLsn: number | null
  /** MariaDB says where memory is full; until then the batch is a guess. */
  fullAtLsn: number | null
  scannedBytes: number
  scanSeconds: number
  scanEnded: boolean
  coveredBytes: number
  batches: number
  inBatch: boolean
  batchPages: number
  /** Pages left by the newest line, and the seconds and I/O since. */
  linePages: number
  lineReadBytes: number
  lineWriteBytes: number
  batchSeconds: number
  batchWriteBytes: number
  batchSpanBytes: number
  /** Sums over ended batches, each weighing less with the redo applied since. */
  pastSeconds: number
  pastPages: number
  pastBytes: number
  pastWriteBytes: number
}

export const initialRedo: Redo = {
  startLsn: null,
  endLsn: null,
  fullAtLsn: null,
  scannedBytes: 0,
  scanSeconds: 0,
  scanEnded: false,
  coveredBytes: 0,
  batches: 0,
  inBatch: false,
  batchPages: 0,
  linePages: 0,
  lineReadBytes: 0,
  lineWriteBytes: 0,
  batchSeconds: 0,
  batchWriteBytes: 0,
  batchSpanBytes: 0,
  pastSeconds: 0,
  pastPages: 0,
  pastBytes: 0,
  pastWriteBytes: 0,
}

/** All redo in bytes, null while either end is unknown. */
export function redoBytes(redo: Redo, facts: WorkFacts): number | null {
  const end = redo.endLsn ?? facts.lastLsn
  if (redo.startLsn !== null && end !== null) return Math.max(0, end - redo.startLsn)
  if (facts.redoBytes !== null) return facts.redoBytes
  // An incremental's redo begins about where the backup before it ended.
  return end !== null && facts.fromLsn ? Math.max(0, end - facts.fromLsn) : null
}

/** A new batch covers the redo up to `coveredBytes` and touches `pages`. The one before is learned from. */
export function beginBatch(redo: Redo, facts: WorkFacts, coveredBytes: number, pages: number): Redo {
  const ended = endBatch(redo, facts)
  return {
    ...ended,
    inBatch: true,
    batches: redo.batches + 1,
    batchSpanBytes: Math.max(0, coveredBytes - redo.coveredBytes),
    coveredBytes: Math.max(coveredBytes, redo.coveredBytes),
    batchPages: pages,
    linePages: pages,
    lineReadBytes: 0,
    lineWriteBytes: 0,
    batchSeconds: 0,
    batchWriteBytes: 0,
  }
}

function endBatch(redo: Redo, facts: WorkFacts): Redo {
  if (redo.batches === 0) return redo
  const total = redoBytes(redo, facts) ?? redo.coveredBytes
  const keep = total > 0 ? Math.exp(-redo.batchSpanBytes / (weights.memory * total)) : 1
  return {
    ...redo,
    inBatch: false,
    pastSeconds: redo.pastSeconds * keep + redo.batchSeconds,
    pastPages: redo.pastPages * keep + redo.batchPages,
    pastBytes: redo.pastBytes * keep + redo.batchSpanBytes,
    pastWriteBytes: redo.pastWriteBytes * keep + redo.batchWriteBytes,
  }
}
