/**
 * The one tracker of a recovery: which redo was read and applied, in LSNs and in batches. Every reader of LSNs asks it:
 * the estimator, MyHoard's number, the verdict on a prepare, and the state that is shown.
 *
 * The families do the same work in another order:
 *
 * mariadb-backup scan of all redo (`redo_scanned`, `multi_batch`, `end_of_log`), then batches. `pages_left` comes when
 *                    a batch begins, and about every 15 s inside it. `redo_scanned` after the end of the log is the
 *                    second reading between two batches: the batch before it is done. xtrabackup 8, 9 scan and batches
 *                    in turns: `redo_scanned` every 5 MiB, `batch_started`, `batch_percent`, `batch_completed`.
 *                    xtrabackup 2.4 the same, but where the redo does not fit in memory, one pass over all of it comes
 *                    first; the LSN then falls back to the checkpoint. InnoDB starts a second time to make new redo
 *                    files, and scans again.
 *
 * `activity.ts` adds seconds and bytes; `recovery-remaining.ts` prices what is left.
 */
import type { ToolEvent } from '../tool/events.ts'
import { pagesOfBatch, weights } from './cost-model.ts'
import type { WorkFacts } from './progress.ts'

export interface Recovery {
  /** Events that moved it forward. */
  evidence: number
  /** InnoDB has started to read redo: deltas are done. */
  begun: boolean
  startLsn: number | null
  endLsn: number | null
  /** Highest LSN that the first start of InnoDB read. Below last_lsn at its end, redo is missing. */
  scannedLsn: number | null
  /** The redo was read to its end, which is `scannedLsn`. */
  isEndKnown: boolean
  /** Redo up to here is in the data files. */
  appliedLsn: number | null
  /** MariaDB says where memory is full; until then the batch is a guess. */
  fullAtLsn: number | null
  /** Redo bytes read by the pass now running, and by a finished pass before it. */
  scannedBytes: number
  firstPassBytes: number
  scanSeconds: number
  scanEnded: boolean
  /** InnoDB has shut down: what a second start scans is not the backup's redo. */
  ended: boolean
  /** Redo whose pages are counted in batches so far. */
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
  /** Sums over ended batches; each batch weighs less with the redo applied since. */
  pastSeconds: number
  pastPages: number
  pastBytes: number
  pastWriteBytes: number
}

export const initialRecovery: Recovery = {
  evidence: 0,
  begun: false,
  startLsn: null,
  endLsn: null,
  scannedLsn: null,
  isEndKnown: false,
  appliedLsn: null,
  fullAtLsn: null,
  scannedBytes: 0,
  firstPassBytes: 0,
  scanSeconds: 0,
  scanEnded: false,
  ended: false,
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

/** xtrabackup counts pages handed out to be read, not pages done. */
const HANDED_OUT_IS_DONE = 0.97

/** The recovery after an event. `evidence` counts the events that moved it forward. */
export function recoveryAfter(before: Recovery, event: ToolEvent, facts: WorkFacts): Recovery {
  if (before.ended) return before
  const moved = advance(before, event, facts)
  const lsns = lsnsAfter(before, event)
  if (moved === null && lsns === null) return before
  // xtrabackup names its redo file before it applies deltas.
  const begun = before.begun || (moved !== null && event.type !== 'redo_found')
  return { ...(moved ?? before), ...lsns, begun, evidence: before.evidence + (moved === null ? 0 : 1) }
}

/** Null where the event says nothing of how far recovery is. */
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
      // Nothing new to apply.
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
      // The pass now running has applied what it read; a first pass may have read further.
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
  // An incremental's redo begins about where the backup before it ended.
  return end !== null && facts.fromLsn ? Math.max(0, end - facts.fromLsn) : null
}

/**
 * The LSN at which the redo ended, once the tool has ended; null where nobody knows. A tool that succeeded has read all
 * of it. One that failed has too, where it said so. xtrabackup may fail over the redo itself, before its first batch.
 */
export function endOfRedo(recovery: Recovery, { tool }: WorkFacts, succeeded: boolean): number | null {
  const failedReading = tool === 'xtrabackup' && recovery.batches === 0
  return succeeded || recovery.isEndKnown || failedReading ? recovery.scannedLsn : null
}

/** Whether the pass now running has read all redo. */
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

/**
 * xtrabackup 2.4 begins again at the checkpoint before its first batch; no LSN of a pass is below the one before it.
 */
function secondPass(recovery: Recovery, lsn: number, { tool }: WorkFacts): Recovery | null {
  // What is known of MariaDB's scan may be ahead of its lines.
  if (tool !== 'xtrabackup') return null
  const { startLsn, scannedBytes, firstPassBytes, batches } = recovery
  if (startLsn === null || batches > 0 || firstPassBytes > 0 || lsn - startLsn >= scannedBytes) return null
  return { ...recovery, firstPassBytes: scannedBytes, scannedBytes: Math.max(0, lsn - startLsn) }
}

/** MariaDB reads redo beyond the running batch only when that is done. */
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

/** A new batch covers the redo up to `coveredBytes` and touches `pages`. The one before is learned from. */
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
