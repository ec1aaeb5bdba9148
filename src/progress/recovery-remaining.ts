/**
 * Seconds that remain of recovery.
 *
 * - Scan: (1 - f) (t + w p) / (f + w). Of the redo to be read, in one pass or two, f was read in t seconds; p is the
 *   price before the run, w its weight.
 * - Apply: c times (pages left in the batch + pages that the redo outside batches will touch, at rho touches a byte).
 *
 * c (seconds a page) and rho are means over the batches so far, newer ones weighing more, and over the price before the
 * run. That price weighs like a share of what remains: much at the beginning, nothing at the end.
 */
import {
  batchBytes,
  PAGE_BYTES,
  pageSeconds,
  pagesOfRedo,
  STREAM_PRIOR_WEIGHT,
  scanSeconds,
  scansTwice,
  soften,
  TOUCHES_PER_BYTE,
  touchesPerByte,
  weights,
} from './cost-model.ts'
import type { WorkFacts } from './progress.ts'
import type { Recovery } from './recovery.ts'

export interface RecoveryRemaining {
  seconds: number
  /** Of them, priced by a guess, not by anything measured in this run. */
  guessedSeconds: number
  /** Pages of the running batch and of all that follow. */
  pages: number
}

/** Seconds that remain of scan and apply of `total` bytes of redo; `diskRate` in bytes/s where it is known. */
export function recoveryRemaining(
  recovery: Recovery,
  facts: WorkFacts,
  total: number,
  diskRate: number | null,
): RecoveryRemaining {
  const scan = scanRemaining(recovery, facts, total, diskRate)
  const pagesAhead = pagesOfUncovered(recovery, facts, total)
  const pagesInBatch = batchPagesLeft(recovery, facts)
  const pages = pagesInBatch + pagesAhead
  const prior = weights.prior * pages
  const done = recovery.pastPages + (recovery.inBatch ? recovery.batchPages - pagesInBatch : 0)
  const seconds = recovery.pastSeconds + (recovery.inBatch ? recovery.batchSeconds : 0)
  if (done + prior === 0) return { ...scan, pages: recovery.batchPages }
  const isCrowded =
    total > Math.max(guessedBatch(recovery, facts, total), recovery.batches > 0 ? recovery.coveredBytes : 0)
  const apply = (pages * (seconds + prior * pageSeconds(facts.tool, diskRate, isCrowded))) / (done + prior)
  return {
    seconds: scan.seconds + apply,
    guessedSeconds: scan.guessedSeconds + (apply * prior) / (done + prior),
    pages: recovery.batchPages + pagesAhead,
  }
}

function scanRemaining(
  recovery: Recovery,
  facts: WorkFacts,
  total: number,
  diskRate: number | null,
): { seconds: number; guessedSeconds: number } {
  if (recovery.scanEnded || total <= 0) return { seconds: 0, guessedSeconds: 0 }
  const passes = passesOf(recovery, facts, total)
  const part = Math.min(1, (recovery.firstPassBytes + recovery.scannedBytes) / (passes * total))
  const prior = STREAM_PRIOR_WEIGHT * passes * scanSeconds(facts.tool, total, diskRate)
  const seconds = ((1 - part) * (recovery.scanSeconds + prior)) / (part + STREAM_PRIOR_WEIGHT)
  return { seconds, guessedSeconds: (seconds * STREAM_PRIOR_WEIGHT) / (part + STREAM_PRIOR_WEIGHT) }
}

/** xtrabackup 2.4 reads all redo twice where it does not fit in memory. */
function passesOf(recovery: Recovery, facts: WorkFacts, total: number): 1 | 2 {
  if (recovery.firstPassBytes > 0) return 2
  if (recovery.batches > 0 || !scansTwice(facts)) return 1
  return total > guessedBatch(recovery, facts, total) ? 2 : 1
}

/**
 * Pages that the redo outside batches will touch, at the density of touches that batches showed and the one from before
 * the run. Touches, not pages: a large batch touches many pages twice, so a small one has more pages a byte.
 */
function pagesOfUncovered(recovery: Recovery, facts: WorkFacts, total: number): number {
  const bytes = total - recovery.coveredBytes
  if (bytes <= 0) return 0
  const batch = Math.max(guessedBatch(recovery, facts, total), recovery.batchSpanBytes, 1)
  const dataBytes = touchedBytes(facts, total)
  const seenBytes = recovery.pastBytes + (recovery.inBatch ? recovery.batchSpanBytes : 0)
  const seenPages = recovery.pastPages + (recovery.inBatch ? recovery.batchPages : 0)
  const seenDensity = seenBytes > 0 ? touchesPerByte(seenPages / seenBytes, recovery.batchSpanBytes, dataBytes) : 0
  const weight = weights.density * bytes
  const density = (seenBytes * seenDensity + weight * TOUCHES_PER_BYTE) / (seenBytes + weight)
  return pagesOfRedo(bytes, batch, dataBytes, density)
}

/** Bytes of data that the redo can touch: what the backup counted, else all files, or what the redo may add. */
function touchedBytes({ redoFrames, dataFileBytes }: WorkFacts, total: number): number {
  if (redoFrames) return redoFrames * PAGE_BYTES
  return dataFileBytes === null ? total / 2 : Math.max(dataFileBytes, total / 3)
}

/** How much redo the next batch covers, before a batch has shown it. */
function guessedBatch(recovery: Recovery, facts: WorkFacts, total: number): number {
  if (recovery.fullAtLsn !== null && recovery.startLsn !== null) return recovery.fullAtLsn - recovery.startLsn
  const { redoMemoryBytes, redoFrames, memoryBytes } = facts
  const needed = redoMemoryBytes && redoFrames ? redoMemoryBytes + redoFrames * PAGE_BYTES : null
  if (needed !== null && memoryBytes !== null) return needed <= memoryBytes ? total : (total * memoryBytes) / needed
  return batchBytes(facts.tool, memoryBytes)
}

/**
 * Pages left in the running batch: those of the newest line, less the I/O since. Each page is written once, or as often
 * as in earlier batches. Where all pages fit in memory, they are read first and written at the end; nobody knows how
 * many must be read, so read bytes count in proportion. Where they do not fit, they are read and written at the same
 * time, and the larger of both counts: pages already as new as the redo are not written.
 */
export function batchPagesLeft(recovery: Recovery, { memoryBytes }: WorkFacts): number {
  if (!recovery.inBatch) return 0
  const { lineReadBytes: read, lineWriteBytes: written, linePages } = recovery
  const priorPages = weights.prior * recovery.batchPages
  const learned = (recovery.pastWriteBytes + priorPages * PAGE_BYTES) / Math.max(recovery.pastPages + priorPages, 1)
  const writtenPerPage = Math.max(PAGE_BYTES, learned)
  const fits = memoryBytes !== null && recovery.batchPages * PAGE_BYTES < memoryBytes
  const done = fits
    ? (read + written) / Math.max(read + writtenPerPage * linePages, 1)
    : Math.max(read / PAGE_BYTES, written / writtenPerPage) / Math.max(linePages, 1)
  return linePages * (1 - soften(done))
}
