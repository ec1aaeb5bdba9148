/**
 * What is left of recovery, in seconds.
 *
 * scan bytes of redo still to be read, in one pass or in two: (1 - f) (t + w s0) / (f + w); f of them were read in t
 *           seconds, s0 is the price before the run apply (pages left in the batch + pages that rho touches a byte make
 *           of the redo not yet in a batch) x c
 *
 * c seconds a page and rho touches a byte are means of what batches showed, older ones weighing less, and of the price
 * before the run, which weighs like a share of what is left: it hedges early, when what comes may be unlike what was,
 * and is gone at the end.
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
  /** Of them, not yet backed by anything measured in this run. */
  guessedSeconds: number
  /** In the batch now running and all that follow. */
  pages: number
}

/** What is left of scan and apply of `total` bytes of redo; `diskRate` in bytes/s where it is known. */
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

/** xtrabackup 2.4 goes over all redo once more where its records do not fit in memory. */
function passesOf(recovery: Recovery, facts: WorkFacts, total: number): 1 | 2 {
  if (recovery.firstPassBytes > 0) return 2
  if (recovery.batches > 0 || !scansTwice(facts)) return 1
  return total > guessedBatch(recovery, facts, total) ? 2 : 1
}

/**
 * Pages that the redo not yet in a batch will touch: at the density of touches that batches showed, beside the one from
 * before the run. Touches, not pages: of what a large batch touches much is touched again, so a small one has more
 * pages a byte.
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

/** Data that the redo can touch: what the backup counted, else all files and what the redo may add to them. */
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
 * Pages left in the running batch: the newest line's, less what I/O since stands for. Each page is written once, or as
 * often as earlier batches did. Where all of them fit in memory, they are read first and written at the end: how many
 * must be read is not known, so reading counts for what it is beside the writing. Where they do not, they pass through
 * memory, read at one end and written at the other, and what is further ahead tells: pages already as new as the redo
 * are not written.
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
