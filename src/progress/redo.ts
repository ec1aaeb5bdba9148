/**
 * How far recovery is, and what is left of it in seconds.
 *
 *   scan    R bytes of redo from the checkpoint to the end; s = (t + w s0) / (f + w) seconds in all, f the part scanned
 *   apply   in batches that each cover a span of redo and touch P pages; c seconds a page, rho pages a byte of redo
 *   left  = (1 - f) s + (pages left in the batch + rho x redo not yet in a batch) c
 *
 * MariaDB scans everything first, then reads it again batch by batch (the second reading is part of c); xtrabackup scans
 * and applies in turns. Both are the same state here: `scannedBytes`, `coveredBytes` (redo whose pages are counted in
 * batches so far), and the running batch. c and rho start from prices.ts, are measured batch by batch, and forget:
 * an older batch weighs less the more redo has been applied since.
 */
import {
  batchBytes,
  IO_BYTES_PER_PAGE,
  PAGE_BYTES,
  PRIOR_WEIGHT,
  pageSeconds,
  pagesOfRedo,
  STREAM_PRIOR_WEIGHT,
  scanSeconds,
} from './prices.ts'
import type { WorkFacts } from './progress.ts'

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
  lineIoBytes: number
  batchSeconds: number
  batchIoBytes: number
  batchSpanBytes: number
  /** Sums over ended batches, each weighing less with the redo applied since. */
  pastSeconds: number
  pastPages: number
  pastBytes: number
  pastIoBytes: number
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
  lineIoBytes: 0,
  batchSeconds: 0,
  batchIoBytes: 0,
  batchSpanBytes: 0,
  pastSeconds: 0,
  pastPages: 0,
  pastBytes: 0,
  pastIoBytes: 0,
}

/** Batches are forgotten over this share of all redo. */
const MEMORY_SHARE = 0.3

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
    lineIoBytes: 0,
    batchSeconds: 0,
    batchIoBytes: 0,
  }
}

function endBatch(redo: Redo, facts: WorkFacts): Redo {
  if (redo.batches === 0) return redo
  const total = redoBytes(redo, facts) ?? redo.coveredBytes
  const keep = total > 0 ? Math.exp(-redo.batchSpanBytes / (MEMORY_SHARE * total)) : 1
  return {
    ...redo,
    inBatch: false,
    pastSeconds: redo.pastSeconds * keep + redo.batchSeconds,
    pastPages: redo.pastPages * keep + redo.batchPages,
    pastBytes: redo.pastBytes * keep + redo.batchSpanBytes,
    pastIoBytes: redo.pastIoBytes * keep + redo.batchIoBytes,
  }
}

/** Pages left in the running batch: the newest line's, less what I/O since it stands for. */
export function batchPagesLeft(redo: Redo): number {
  if (!redo.inBatch) return 0
  const pastPages = redo.pastPages + PRIOR_WEIGHT * redo.batchPages
  const perPage = (redo.pastIoBytes + PRIOR_WEIGHT * redo.batchPages * IO_BYTES_PER_PAGE) / Math.max(pastPages, 1)
  return redo.linePages * (1 - soften(redo.lineIoBytes / Math.max(perPage * redo.linePages, 1)))
}

/** Equal to x at first; from 0.7 on it nears 1 ever slower: expected work that proves too little never reads as all. */
export const soften = (x: number): number => (x <= 0.7 ? x : 1 - 0.3 * Math.exp((0.7 - x) / 0.3))

export interface Left {
  seconds: number
  /** Of them, priced mostly by what was never measured in this run. */
  guessedSeconds: number
  /** Pages to be touched in the whole recovery, as far as known. */
  pages: number
  secondsPerPage: number
}

/** What is left of scan and apply; `diskRate` in bytes/s where it is known. */
export function redoLeft(redo: Redo, facts: WorkFacts, total: number, diskRate: number | null): Left {
  const scan = scanLeft(redo, facts, total, diskRate)
  const ahead = Math.max(0, total - redo.coveredBytes)
  const batch = Math.max(guessedBatch(redo, facts, total), redo.batchSpanBytes, 1)
  const guessedPages = pagesOfRedo(ahead, batch, touchedBytes(facts) ?? total / 2)
  // Pages a byte: guessed like a fifth of all redo, measured by the batches so far, the running one included.
  const weight = 0.2 * total
  const knownBytes = redo.pastBytes + (redo.inBatch ? redo.batchSpanBytes : 0)
  const knownPages = redo.pastPages + (redo.inBatch ? redo.batchPages : 0)
  const density = ahead > 0 ? (knownPages + (guessedPages / ahead) * weight) / (knownBytes + weight) : 0
  const pagesAhead = redo.batches === 0 ? guessedPages : density * ahead
  const inBatch = batchPagesLeft(redo)
  const pagesLeft = inBatch + pagesAhead
  const done = redo.pastPages + (redo.inBatch ? redo.batchPages - inBatch : 0)
  const prior = PRIOR_WEIGHT * (redo.pastPages + redo.batchPages + pagesAhead)
  const seconds = redo.pastSeconds + (redo.inBatch ? redo.batchSeconds : 0)
  const secondsPerPage =
    done + prior > 0 ? (seconds + prior * pageSeconds(diskRate)) / (done + prior) : pageSeconds(null)
  const apply = pagesLeft * secondsPerPage
  return {
    seconds: scan.seconds + apply,
    guessedSeconds: scan.guessedSeconds + (apply * prior) / Math.max(done + prior, 1),
    pages: redo.batchPages + pagesAhead,
    secondsPerPage,
  }
}

/** Data that the redo can touch: what the backup counted, else all of it. */
const touchedBytes = ({ redoFrames, dataFileBytes }: WorkFacts): number | null =>
  redoFrames ? redoFrames * PAGE_BYTES : dataFileBytes

/** How much redo the next batch covers, before a batch has shown it. */
function guessedBatch(redo: Redo, facts: WorkFacts, total: number): number {
  if (redo.fullAtLsn !== null && redo.startLsn !== null) return redo.fullAtLsn - redo.startLsn
  const { redoMemoryBytes, redoFrames, memoryBytes } = facts
  const needed = redoMemoryBytes && redoFrames ? redoMemoryBytes + redoFrames * PAGE_BYTES : null
  if (needed !== null && memoryBytes !== null) return needed <= memoryBytes ? total : (total * memoryBytes) / needed
  return batchBytes(facts.tool, memoryBytes)
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
