/**
 * What is left of the phase now running, priced in seconds, part by part; null while the size of it is unknown.
 * Each part is (1 - f) (t + w prior) / (f + w): done f of it took t seconds, and the prior counts like w of it.
 */

import {
  COPY_BYTES_PER_SECOND,
  diskRateOfScan,
  EXTRACT_BYTES_PER_SECOND,
  INSTANCE_SECONDS,
  PAGE_BYTES,
  pagesOfBatch,
  pageWriteSeconds,
  RENAME_SECONDS,
  ROW_UNDO_SECONDS,
  START_CHECK_SECONDS,
  STREAM_PRIOR_WEIGHT,
} from './cost-model.ts'
import { diskRate } from './disk.ts'
import type { WorkFacts } from './progress.ts'
import { redoBytes } from './redo.ts'
import { redoLeft, soften } from './redo-remaining.ts'
import type { ProgressState, Work } from './state.ts'
import { weights } from './weights.ts'

export interface Price {
  seconds: number
  /** Of them, not yet backed by anything measured in this run. */
  guessedSeconds: number
}

const NOTHING: Price = { seconds: 0, guessedSeconds: 0 }
/** Transactions open at the end of the backup are only known when the redo is applied: reserve so much of recovery. */
const UNKNOWN_UNDO = 0.05
const CHECKS_SECONDS = 0.5

const add = (a: Price, b: Price): Price =>
  b === NOTHING ? a : { seconds: a.seconds + b.seconds, guessedSeconds: a.guessedSeconds + b.guessedSeconds }

function part(done: number, total: number, seconds: number, priorSeconds: number, weight = weights.prior): Price {
  const f = total > 0 ? Math.min(1, done / total) : 1
  const left = ((1 - f) * (seconds + weight * priorSeconds)) / (f + weight)
  return { seconds: left, guessedSeconds: (left * weight) / (f + weight) }
}

const guess = (seconds: number): Price => ({ seconds, guessedSeconds: seconds })

export function phaseLeft(state: ProgressState): Price | null {
  switch (state.phase) {
    case 'restoring_basebackup':
      return extractLeft(state)
    case 'preparing_backup':
      return prepareLeft(state)
    case 'finalizing':
      return finalizeLeft(state)
    default:
      return null
  }
}

function extractLeft({ facts, work, phaseSeconds }: ProgressState): Price | null {
  if (facts.sourceBytes === null) return null
  const prior = facts.sourceBytes / EXTRACT_BYTES_PER_SECOND
  return part(work.sourceBytes, facts.sourceBytes, phaseSeconds, prior, STREAM_PRIOR_WEIGHT)
}

export function finalizeLeft({ facts, step, phase }: ProgressState): Price {
  const checks = phase === 'finalizing' && step === 'start_check' ? 0 : CHECKS_SECONDS
  return guess(checks + (facts.hasStartCheck ? START_CHECK_SECONDS : 0))
}

export function prepareLeft({ facts, redo, work, disk, step }: ProgressState): Price | null {
  const moveBack = facts.hasMoveBack ? moveBackLeft(facts, work) : NOTHING
  if (work.completed || !facts.hasPrepare || step === 'move_back') return moveBack
  const total = redoBytes(redo, facts)
  if (total === null) return null
  const rate = disk.seconds > 0 ? diskRate(disk) : diskRateOfScan(facts.tool, redo.scannedBytes, redo.scanSeconds)
  const recovery = redoLeft(redo, facts, total, rate)
  const secondsSoFar = redo.scanSeconds + redo.pastSeconds + redo.batchSeconds
  let left: Price = work.closing === 'no' ? recovery : NOTHING
  if (redo.startLsn === null) left = add(left, deltaLeft(facts, work))
  if (facts.tool === 'xtrabackup') left = add(left, undoLeft(work, secondsSoFar + recovery.seconds))
  return add(add(left, closingLeft(facts, work, recovery.pages, rate)), moveBack)
}

/**
 * Deltas are read and written once. Where their sizes are not known, they hold the pages that the redo between the two
 * backups touched; and without a look at the tool's I/O, only the time says how many of them are done.
 */
function deltaLeft({ deltaFiles, fromLsn, toLsn, dataFileBytes }: WorkFacts, work: Work): Price {
  if (deltaFiles !== null) {
    const total = Object.values(deltaFiles).reduce((sum, bytes) => sum + bytes, 0)
    const inFile = work.deltaFileBytes * soften(work.deltaFileIoBytes / Math.max(1, 2 * work.deltaFileBytes))
    return part(work.deltaDoneBytes + inFile, total, work.deltaSeconds, total / COPY_BYTES_PER_SECOND)
  }
  if (!fromLsn || toLsn === null || toLsn <= fromLsn) return NOTHING
  const total = PAGE_BYTES * pagesOfBatch(toLsn - fromLsn, dataFileBytes ?? (toLsn - fromLsn) / 2)
  const prior = total / COPY_BYTES_PER_SECOND
  const done = soften(work.deltaIoBytes > 0 ? work.deltaIoBytes / (2 * total) : work.deltaSeconds / prior)
  return part(done, 1, work.deltaSeconds, prior)
}

function undoLeft(work: Work, recoverySeconds: number): Price {
  if (work.undoEnded) return NOTHING
  if (work.undoRows === null) return work.closing === 'shutting_down' ? NOTHING : guess(UNKNOWN_UNDO * recoverySeconds)
  const prior = work.undoRows * ROW_UNDO_SECONDS
  return part(work.undoRowsDone + work.trxRowsDone, work.undoRows, work.undoSeconds, prior)
}

/** The end: what is dirty in memory is written, the instance shuts down. */
function closingLeft(facts: WorkFacts, work: Work, pages: number, rate: number | null): Price {
  if (work.closing === 'shut_down') return NOTHING
  const inMemory = facts.memoryBytes === null ? pages : Math.min(pages, facts.memoryBytes / PAGE_BYTES)
  // MariaDB writes every page before it goes on, so that is in the price of its batches.
  const flush = facts.tool === 'xtrabackup' ? inMemory * pageWriteSeconds(rate) : 0
  const whole = (facts.tool === 'xtrabackup' ? 4 : 1) * INSTANCE_SECONDS + flush
  return guess(whole * (1 - soften(work.closingSeconds / whole)))
}

export function moveBackLeft({ moveBackFiles, moveBackCopyBytes }: WorkFacts, work: Work): Price {
  if (work.movedBack) return NOTHING
  const files = moveBackFiles ?? 0
  const bytes = moveBackCopyBytes ?? 0
  const prior = files * RENAME_SECONDS + bytes / COPY_BYTES_PER_SECOND
  const done = bytes > 0 ? work.bytesCopied / bytes : files > 0 ? work.filesMoved / files : 0
  return prior === 0 ? guess(RENAME_SECONDS) : part(done, 1, work.moveSeconds, prior)
}
