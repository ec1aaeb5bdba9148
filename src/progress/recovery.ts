/**
 * The one tracker of a recovery: which redo was read and applied, by LSN and by batch. The estimator, the verdict on a
 * prepare and the restore's state read it.
 *
 * The tools print different events about the same work:
 *
 * - mariadb-backup reads all redo (`redo_scanned`, `multi_batch`, `end_of_log`), then applies batches. `pages_left`
 *   comes when a batch begins, and about every 15 s inside it. A `redo_scanned` after the end of the log is the second
 *   reading between two batches: the batch before it is done.
 * - xtrabackup 8 and 9 read and apply in turns: `redo_scanned` every 5 MiB, then `batch_started`, `batch_percent`,
 *   `batch_completed`.
 * - xtrabackup 2.4 does the same. But where the redo does not fit in memory, it first reads all of it once; the LSN
 *   then falls back to the checkpoint. After its shutdown, InnoDB starts again to make new redo files, and scans once
 *   more.
 *
 * `activity.ts` adds seconds and bytes to it. `recovery-remaining.ts` prices what remains.
 */
import type { ToolEvent } from '../tool/events.ts'
import { pagesOfBatch, weights } from './cost-model.ts'
import type { WorkFacts } from './progress.ts'

export const initialRecovery = {
  /** How many events moved it forward. */
  evidence: 0,
  /** InnoDB reads redo: all deltas are applied. */
  begun: false as boolean,
  startLsn: null as number | null,
  endLsn: null as number | null,
  /** Highest LSN that the first start of InnoDB read. If it ends below last_lsn, redo is missing. */
  scannedLsn: null as number | null,
  /** All redo was read: it ends at `scannedLsn`. */
  isEndKnown: false as boolean,
  /** The data files hold all changes up to this LSN. */
  appliedLsn: null as number | null,
  /** Where the redo has filled the memory: MariaDB prints it. The first batch ends there. */
  fullAtLsn: null as number | null,
  /** Redo bytes read by the running pass, and by a finished pass before it. */
  scannedBytes: 0,
  firstPassBytes: 0,
  scanSeconds: 0,
  scanEnded: false as boolean,
  /** InnoDB has shut down: a second start scans no redo of the backup. */
  ended: false as boolean,
  /** Bytes of redo that batches have covered so far. */
  coveredBytes: 0,
  batches: 0,
  inBatch: false as boolean,
  batchPages: 0,
  /** Pages left in the batch by the newest line, and the I/O since. */
  linePages: 0,
  lineReadBytes: 0,
  lineWriteBytes: 0,
  batchSeconds: 0,
  batchWriteBytes: 0,
  batchSpanBytes: 0,
  /** Sums over ended batches; older batches weigh less. */
  pastSeconds: 0,
  pastPages: 0,
  pastBytes: 0,
  pastWriteBytes: 0,
}
export type Recovery = Readonly<typeof initialRecovery>

/** A batch's percent counts pages queued for reading, not pages done. */
const HANDED_OUT_IS_DONE = 0.97

/** The recovery after an event. */
export function recoveryAfter(before: Recovery, event: ToolEvent, facts: WorkFacts): Recovery {
  if (before.ended) return before
  const moved = advance(before, event, facts)
  const lsns = lsnsAfter(before, event)
  if (moved === null && lsns === null) return before
  // xtrabackup prints `redo_found` before it applies deltas.
  const begun = before.begun || (moved !== null && event.type !== 'redo_found')
  return { ...(moved ?? before), ...lsns, begun, evidence: before.evidence + (moved === null ? 0 : 1) }
}

/** Null where the event does not move recovery forward. */
function advance(recovery: Recovery, event: ToolEvent, facts: WorkFacts): Recovery | null {
  switch (event.type) {
    case 'redo_found':
      return recovery.startLsn === null ? { ...recovery, startLsn: event.startLsn } : null
    case 'checkpoint':
      return recovery.scannedBytes > 0 || recovery.batches > 0 ? null : { ...recovery, startLsn: event.lsn }
    case 'multi_batch':
      return reach({ ...recovery, fullAtLsn: event.lsn }, event.lsn)
    case 'redo_scanned':
      if (recovery.scanEnded) return batchPassed(recovery, event.lsn)
      return secondPass(recovery, event.lsn, facts) ?? reach(recovery, event.lsn)
    case 'end_of_log':
      if (recovery.scanEnded) return null
      return { ...(reach(recovery, event.lsn) ?? recovery), endLsn: event.lsn, scanEnded: true }
    case 'pages_left':
      return pagesLeft(recovery, event, facts)
    case 'batch_started': {
      const bytes = recovery.scannedBytes - recovery.coveredBytes
      // There is no new redo to apply.
      if (bytes <= 0 && recovery.batches > 0) return null
      const pages = event.pages ?? pagesOfBatch(bytes, facts.dataFileBytes ?? recovery.scannedBytes)
      const begun = isScanned(recovery, facts) ? { ...recovery, scanEnded: true } : recovery
      return beginBatch(begun, facts, recovery.scannedBytes, pages)
    }
    case 'batch_percent': {
      const pages = recovery.batchPages * (1 - (HANDED_OUT_IS_DONE * Math.min(100, event.percent)) / 100)
      return recovery.inBatch && pages < recovery.linePages ? atLine(recovery, pages) : null
    }
    case 'batch_completed':
      return recovery.inBatch ? atLine(recovery, 0) : null
    default:
      return null
  }
}

type Lsns = Partial<Pick<Recovery, 'scannedLsn' | 'appliedLsn' | 'isEndKnown' | 'ended'>>

function lsnsAfter({ scannedLsn, appliedLsn, startLsn, scannedBytes }: Recovery, event: ToolEvent): Lsns | null {
  const highest = (a: number | null, b: number | null) => (a === null || b === null ? (a ?? b) : Math.max(a, b))
  switch (event.type) {
    case 'redo_scanned':
      return { scannedLsn: highest(scannedLsn, event.lsn) }
    case 'end_of_log':
      return { scannedLsn: highest(scannedLsn, event.lsn), isEndKnown: true }
    case 'first_pass_ended':
      return { isEndKnown: true }
    case 'pages_left':
      return { appliedLsn: highest(appliedLsn, event.lsn) }
    case 'batch_completed':
      // The running pass has applied all it read. A first pass may have read further.
      return { appliedLsn: highest(appliedLsn, startLsn === null ? scannedLsn : startLsn + scannedBytes) }
    case 'completed_ok':
      return { appliedLsn: highest(appliedLsn, scannedLsn) }
    case 'shutdown_completed':
      return { appliedLsn: highest(appliedLsn, scannedLsn), ended: true }
    default:
      return null
  }
}

/** All redo in bytes; null while either end is unknown. */
export function redoBytes(recovery: Recovery, facts: WorkFacts): number | null {
  const end = recovery.endLsn ?? facts.lastLsn
  if (recovery.startLsn !== null && end !== null) return Math.max(0, end - recovery.startLsn)
  if (facts.redoBytes !== null) return facts.redoBytes
  // The redo of an incremental begins about where the backup before it ended.
  return end !== null && facts.fromLsn ? Math.max(0, end - facts.fromLsn) : null
}

/**
 * The LSN at which the redo ended, after the tool has ended; null where it is not known. A tool that succeeded has read
 * all redo, and so has a failed one that printed the end of it. xtrabackup that failed before its first batch failed
 * over the redo it was reading.
 */
export function endOfRedo(recovery: Recovery, { tool }: WorkFacts, succeeded: boolean): number | null {
  const failedReading = tool === 'xtrabackup' && recovery.batches === 0
  return succeeded || recovery.isEndKnown || failedReading ? recovery.scannedLsn : null
}

/** Whether the running pass has read all redo. */
export function isScanned(recovery: Recovery, facts: WorkFacts): boolean {
  const total = redoBytes(recovery, facts)
  return total !== null && recovery.scannedBytes >= total
}

const atLine = (recovery: Recovery, linePages: number): Recovery => ({
  ...recovery,
  linePages,
  lineReadBytes: 0,
  lineWriteBytes: 0,
})

function reach(recovery: Recovery, lsn: number): Recovery | null {
  if (recovery.startLsn === null) return { ...recovery, startLsn: lsn }
  const scannedBytes = lsn - recovery.startLsn
  return scannedBytes > recovery.scannedBytes ? { ...recovery, scannedBytes } : null
}

/** xtrabackup 2.4: an LSN below the one before it, and no batch yet, means that the second pass has begun. */
function secondPass(recovery: Recovery, lsn: number, { tool }: WorkFacts): Recovery | null {
  // For MariaDB `scannedBytes` may be ahead of the lines: it follows rchar.
  if (tool !== 'xtrabackup') return null
  const { startLsn, scannedBytes, firstPassBytes, batches } = recovery
  if (startLsn === null || batches > 0 || firstPassBytes > 0 || lsn - startLsn >= scannedBytes) return null
  return { ...recovery, firstPassBytes: scannedBytes, scannedBytes: Math.max(0, lsn - startLsn) }
}

/** MariaDB reads redo beyond the running batch only after that batch is done. */
function batchPassed(recovery: Recovery, lsn: number): Recovery | null {
  const { inBatch, startLsn, coveredBytes, linePages } = recovery
  const isBeyond = inBatch && startLsn !== null && lsn - startLsn > coveredBytes
  return isBeyond && linePages > 0 ? atLine(recovery, 0) : null
}

function pagesLeft(
  before: Recovery,
  event: Extract<ToolEvent, { type: 'pages_left' }>,
  facts: WorkFacts,
): Recovery | null {
  const recovery = { ...before, endLsn: before.endLsn ?? event.endLsn, scanEnded: true }
  const total = redoBytes(recovery, facts) ?? recovery.coveredBytes
  const coveredBytes = event.lsn === null ? total : event.lsn - (recovery.startLsn ?? event.lsn)
  if (coveredBytes > recovery.coveredBytes || recovery.batches === 0)
    return beginBatch(recovery, facts, coveredBytes, event.pages)
  const isSame = recovery.inBatch && coveredBytes === recovery.coveredBytes
  return isSame && event.pages < recovery.linePages ? atLine(recovery, event.pages) : null
}

/** A new batch covers the redo up to `coveredBytes` and touches `pages`. The batch before it gives rates. */
function beginBatch(recovery: Recovery, facts: WorkFacts, coveredBytes: number, pages: number): Recovery {
  return {
    ...atLine(endBatch(recovery, facts), pages),
    inBatch: true,
    batches: recovery.batches + 1,
    batchSpanBytes: Math.max(0, coveredBytes - recovery.coveredBytes),
    coveredBytes: Math.max(coveredBytes, recovery.coveredBytes),
    batchPages: pages,
    batchSeconds: 0,
    batchWriteBytes: 0,
  }
}

function endBatch(recovery: Recovery, facts: WorkFacts): Recovery {
  if (recovery.batches === 0) return recovery
  const total = redoBytes(recovery, facts) ?? recovery.coveredBytes
  const keep = total > 0 ? Math.exp(-recovery.batchSpanBytes / (weights.memory * total)) : 1
  return {
    ...recovery,
    inBatch: false,
    pastSeconds: recovery.pastSeconds * keep + recovery.batchSeconds,
    pastPages: recovery.pastPages * keep + recovery.batchPages,
    pastBytes: recovery.pastBytes * keep + recovery.batchSpanBytes,
    pastWriteBytes: recovery.pastWriteBytes * keep + recovery.batchWriteBytes,
  }
}
