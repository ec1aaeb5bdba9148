/**
 * What is left of recovery, in seconds.
 *
 *   scan    R bytes of redo; (t + w s0) / (f + w) seconds in all, f the part scanned in t, s0 its price before the run
 *   apply   (pages left in the batch + pages that rho touches a byte make of the redo not yet in a batch) x c
 *
 * c seconds a page and rho touches a byte are means of what batches showed, older ones weighing less, and of the price before
 * the run, which weighs like a share of what is left: so it hedges early, when what comes may be unlike what was, and is
 * gone at the end.
 */
import {
  batchBytes,
  PAGE_BYTES,
  pageSeconds,
  pagesOfRedo,
  STREAM_PRIOR_WEIGHT,
  scanSeconds,
  TOUCHES_PER_BYTE,
  touchesPerByte,
} from './cost-model.ts'
import type { WorkFacts } from './progress.ts'
import type { Redo } from './redo.ts'
import { weights } from './weights.ts'

export interface RedoLeft {
  seconds: number
  /** Of them, not yet backed by anything measured in this run. */
  guessedSeconds: number
  /** In the batch now running and all that follow. */
  pages: number
}

/** What is left of scan and apply of `total` bytes; `diskRate` in bytes/s where it is known. */
export function redoLeft(redo: Redo, facts: WorkFacts, total: number, diskRate: number | null): RedoLeft {
  const scan = scanLeft(redo, facts, total, diskRate)
  const pagesAhead = pagesOfUncovered(redo, facts, total)
  const pagesInBatch = batchPagesLeft(redo, facts)
  const pages = pagesInBatch + pagesAhead
  const prior = weights.prior * pages
  const done = redo.pastPages + (redo.inBatch ? redo.batchPages - pagesInBatch : 0)
  const seconds = redo.pastSeconds + (redo.inBatch ? redo.batchSeconds : 0)
  if (done + prior === 0) return { ...scan, pages: redo.batchPages }
  const apply = (pages * (seconds + prior * pageSeconds(diskRate))) / (done + prior)
  return {
    seconds: scan.seconds + apply,
    guessedSeconds: scan.guessedSeconds + (apply * prior) / (done + prior),
    pages: redo.batchPages + pagesAhead,
  }
}

function scanLeft(
  redo: Redo,
  facts: WorkFacts,
  total: number,
  diskRate: number | null,
): { seconds: number; guessedSeconds: number } {
  if (redo.scanEnded || total <= 0) return { seconds: 0, guessedSeconds: 0 }
  const part = Math.min(1, redo.scannedBytes / total)
  const whole =
    (redo.scanSeconds + STREAM_PRIOR_WEIGHT * scanSeconds(facts.tool, total, diskRate)) / (part + STREAM_PRIOR_WEIGHT)
  const seconds = (1 - part) * whole
  return { seconds, guessedSeconds: (seconds * STREAM_PRIOR_WEIGHT) / (part + STREAM_PRIOR_WEIGHT) }
}

/**
 * Pages that the redo not yet in a batch will touch: at the density of touches that batches showed, beside the one from
 * before the run. Touches, not pages: of what a large batch touches much is touched again, so a small one has more pages a byte.
 */
function pagesOfUncovered(redo: Redo, facts: WorkFacts, total: number): number {
  const bytes = total - redo.coveredBytes
  if (bytes <= 0) return 0
  const batch = Math.max(guessedBatch(redo, facts, total), redo.batchSpanBytes, 1)
  const dataBytes = touchedBytes(facts, total)
  const seenBytes = redo.pastBytes + (redo.inBatch ? redo.batchSpanBytes : 0)
  const seenPages = redo.pastPages + (redo.inBatch ? redo.batchPages : 0)
  const seenDensity = seenBytes > 0 ? touchesPerByte(seenPages / seenBytes, redo.batchSpanBytes, dataBytes) : 0
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
function guessedBatch(redo: Redo, facts: WorkFacts, total: number): number {
  if (redo.fullAtLsn !== null && redo.startLsn !== null) return redo.fullAtLsn - redo.startLsn
  const { redoMemoryBytes, redoFrames, memoryBytes } = facts
  const needed = redoMemoryBytes && redoFrames ? redoMemoryBytes + redoFrames * PAGE_BYTES : null
  if (needed !== null && memoryBytes !== null) return needed <= memoryBytes ? total : (total * memoryBytes) / needed
  return batchBytes(facts.tool, memoryBytes)
}

/**
 * Pages left in the running batch: the newest line's, less what I/O since it stands for. Each page is written once, or as
 * often as earlier batches did. Where all of them fit in memory, they are read first and written at the end: how many must
 * be read is not known, so reading counts for what it is beside the writing. Where they do not, they pass through memory,
 * read at one end and written at the other, and what is further ahead tells: pages already as new as the redo are not written.
 */
export function batchPagesLeft(redo: Redo, { memoryBytes }: WorkFacts): number {
  if (!redo.inBatch) return 0
  const { lineReadBytes: read, lineWriteBytes: written, linePages } = redo
  const priorPages = weights.prior * redo.batchPages
  const learned = (redo.pastWriteBytes + priorPages * PAGE_BYTES) / Math.max(redo.pastPages + priorPages, 1)
  const writtenPerPage = Math.max(PAGE_BYTES, learned)
  const fits = memoryBytes !== null && redo.batchPages * PAGE_BYTES < memoryBytes
  const done = fits
    ? (read + written) / Math.max(read + writtenPerPage * linePages, 1)
    : Math.max(read / PAGE_BYTES, written / writtenPerPage) / Math.max(linePages, 1)
  return linePages * (1 - soften(done))
}

/** Equal to x at first; from 0.7 on it nears 1 ever slower: expected work that proves too little never reads as all. */
export const soften = (x: number): number => (x <= 0.7 ? x : 1 - 0.3 * Math.exp((0.7 - x) / 0.3))
