/**
 * What a tool's event means for the recovery: the two families print different things about the same work.
 *
 * mariadb-backup: `redo_scanned` and `multi_batch` in the scan; `end_of_log`; then `pages_left` when a batch begins, and
 * again about every 15 s inside it (same end LSN; none for the last batch). `redo_scanned` after the end of the log is the
 * second reading between two batches: the one before it is done.
 * xtrabackup: `redo_scanned` every 5 MiB, `batch_started`, `batch_percent`, `batch_completed`, then redo again. Percent
 * counts pages handed out, not done, so a batch is not taken to be ready before it says so.
 *
 * Returns null where the event says nothing about recovery: then it is no evidence of progress either. An LSN that was
 * passed before (2.4 scans again from the checkpoint when memory is full) is null too.
 */
import type { ToolEvent } from '../tool/events.ts'
import { pagesOfBatch } from './cost-model.ts'
import type { WorkFacts } from './progress.ts'
import { beginBatch, type Redo, redoBytes } from './redo.ts'

const HANDED_OUT_IS_DONE = 0.97

export function redoAfter(redo: Redo, event: ToolEvent, facts: WorkFacts): Redo | null {
  switch (event.type) {
    case 'redo_found':
      return redo.startLsn === null ? { ...redo, startLsn: event.startLsn } : null
    case 'checkpoint':
      return redo.scannedBytes > 0 || redo.batches > 0 ? null : { ...redo, startLsn: event.lsn }
    case 'multi_batch':
      return reach({ ...redo, fullAtLsn: event.lsn }, event.lsn)
    case 'redo_scanned':
      return redo.scanEnded ? batchPassed(redo, event.lsn) : reach(redo, event.lsn)
    case 'end_of_log':
      return redo.scanEnded ? null : { ...(reach(redo, event.lsn) ?? redo), endLsn: event.lsn, scanEnded: true }
    case 'pages_left':
      return pagesLeft(redo, event, facts)
    case 'batch_started': {
      // 2.4 does not say how many pages.
      const begun = atEnd(redo, facts) ? { ...redo, scanEnded: true } : redo
      const bytes = redo.scannedBytes - redo.coveredBytes
      // Nothing new to apply, or a line read again.
      if (bytes <= 0 && redo.batches > 0) return null
      const pages = event.pages ?? pagesOfBatch(bytes, facts.dataFileBytes ?? redo.scannedBytes)
      return beginBatch(begun, facts, redo.scannedBytes, pages)
    }
    case 'batch_percent': {
      const pages = redo.batchPages * (1 - (HANDED_OUT_IS_DONE * Math.min(100, event.percent)) / 100)
      return redo.inBatch && pages < redo.linePages
        ? { ...redo, linePages: pages, lineReadBytes: 0, lineWriteBytes: 0 }
        : null
    }
    case 'batch_completed':
      return redo.inBatch ? { ...redo, linePages: 0, lineReadBytes: 0, lineWriteBytes: 0 } : null
    default:
      return null
  }
}

function reach(redo: Redo, lsn: number): Redo | null {
  if (redo.startLsn === null) return { ...redo, startLsn: lsn }
  const scannedBytes = lsn - redo.startLsn
  return scannedBytes > redo.scannedBytes ? { ...redo, scannedBytes } : null
}

/** MariaDB reads redo beyond the running batch only when that is done. */
function batchPassed(redo: Redo, lsn: number): Redo | null {
  const isBeyond = redo.inBatch && redo.startLsn !== null && lsn - redo.startLsn > redo.coveredBytes
  return isBeyond && redo.linePages > 0 ? { ...redo, linePages: 0, lineReadBytes: 0, lineWriteBytes: 0 } : null
}

function atEnd(redo: Redo, facts: WorkFacts): boolean {
  const total = redoBytes(redo, facts)
  return total !== null && redo.scannedBytes >= total
}

function pagesLeft(before: Redo, event: Extract<ToolEvent, { type: 'pages_left' }>, facts: WorkFacts): Redo | null {
  const endLsn = before.endLsn ?? event.endLsn
  const redo = { ...before, endLsn, scanEnded: true }
  const total = redoBytes(redo, facts) ?? redo.coveredBytes
  const coveredBytes = event.lsn === null ? total : event.lsn - (redo.startLsn ?? event.lsn)
  if (coveredBytes > redo.coveredBytes || redo.batches === 0) return beginBatch(redo, facts, coveredBytes, event.pages)
  const sameBatch = redo.inBatch && coveredBytes === redo.coveredBytes
  return sameBatch && event.pages < redo.linePages
    ? { ...redo, linePages: event.pages, lineReadBytes: 0, lineWriteBytes: 0 }
    : null
}
