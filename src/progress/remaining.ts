/**
 * Seconds that remain of the running phase and of the whole restore, part by part; null while a size is unknown. A part
 * of which f is done after t seconds costs (1 - f) (t + w prior) / (f + w): its price before the run counts like w of
 * it.
 */

import type { Phase } from '../phases.ts'
import {
  APPLY_BYTES_PER_SECOND,
  CHECK_FILE_SECONDS,
  CHECKS_SECONDS,
  COPY_BYTES_PER_SECOND,
  DEFAULT_NEW_REDO_BYTES,
  diskRate,
  diskRateOfScan,
  EXTRACT_BYTES_PER_SECOND,
  INSTANCE_SECONDS,
  PAGE_BYTES,
  pagesOfBatch,
  pageWriteSeconds,
  RENAME_SECONDS,
  ROW_UNDO_SECONDS,
  SHUTDOWN_SECONDS,
  START_CHECK_SECONDS,
  START_SECONDS,
  STREAM_PRIOR_WEIGHT,
  scansTwice,
  soften,
  weights,
  writeSeconds,
} from './cost-model.ts'
import { secondsOfElement } from './elapsed.ts'
import type { WorkFacts } from './progress.ts'
import { type Recovery, redoBytes } from './recovery.ts'
import { recoveryRemaining } from './recovery-remaining.ts'
import { ENDINGS, type Ending, type ProgressState, type Work } from './state.ts'

export interface Price {
  seconds: number
  /** Of them, priced by a guess, not by anything measured in this run. */
  guessedSeconds: number
}

const NOTHING: Price = { seconds: 0, guessedSeconds: 0 }
/** Open transactions are known only after the redo was applied: this share of recovery is reserved for undo. */
const UNKNOWN_UNDO = 0.05

const add = (a: Price, b: Price): Price =>
  b === NOTHING ? a : { seconds: a.seconds + b.seconds, guessedSeconds: a.guessedSeconds + b.guessedSeconds }

function part(done: number, total: number, seconds: number, priorSeconds: number, weight = weights.prior): Price {
  const f = total > 0 ? Math.min(1, done / total) : 1
  const left = ((1 - f) * (seconds + weight * priorSeconds)) / (f + weight)
  return { seconds: left, guessedSeconds: (left * weight) / (f + weight) }
}

const guess = (seconds: number): Price => ({ seconds, guessedSeconds: seconds })
const known = (seconds: number): Price => ({ seconds, guessedSeconds: 0 })

export function phaseRemaining(state: ProgressState): Price | null {
  switch (state.phase) {
    case 'restoring_basebackup':
      return extractRemaining(state)
    case 'preparing_backup':
      return prepareRemaining(state)
    case 'finalizing':
      return finalizeRemaining(state)
    case 'refreshing_binlogs':
      return binlogsRemaining(state, COPY_BYTES_PER_SECOND)
    case 'applying_binlogs':
      return binlogsRemaining(state, APPLY_BYTES_PER_SECOND)
    default:
      return null
  }
}

/** Phases of which bytes of binlogs tell the progress. */
export const BINLOG_PHASES: ReadonlySet<Phase | null> = new Set<Phase | null>([
  'refreshing_binlogs',
  'applying_binlogs',
])

function binlogsRemaining({ work, phaseSeconds }: ProgressState, bytesPerSecond: number): Price | null {
  if (work.binlogTotalBytes === null) return null
  const prior = work.binlogTotalBytes / bytesPerSecond
  return part(work.binlogBytes, work.binlogTotalBytes, phaseSeconds, prior, STREAM_PRIOR_WEIGHT)
}

/** Of the binlog phases that have not begun. */
function laterBinlogs({ facts: { binlogBytes }, phase }: ProgressState): number {
  if (!binlogBytes) return 0 // none, or not known yet
  const copy = BINLOG_PHASES.has(phase) ? 0 : binlogBytes / COPY_BYTES_PER_SECOND
  const apply = phase === 'applying_binlogs' ? 0 : binlogBytes / APPLY_BYTES_PER_SECOND
  return copy + apply + START_CHECK_SECONDS
}

function extractRemaining({ facts, work, phaseSeconds }: ProgressState): Price | null {
  if (facts.sourceBytes === null) return null
  const prior = facts.sourceBytes / EXTRACT_BYTES_PER_SECOND
  return part(work.sourceBytes, facts.sourceBytes, phaseSeconds, prior, STREAM_PRIOR_WEIGHT)
}

export function finalizeRemaining({ facts, step, phase }: ProgressState): Price {
  const files = (facts.moveBackFiles ?? 0) * CHECK_FILE_SECONDS
  const checks = phase === 'finalizing' && step === 'start_check' ? 0 : CHECKS_SECONDS + files
  return guess(checks + (facts.hasStartCheck ? START_CHECK_SECONDS : 0))
}

export function prepareRemaining(state: ProgressState): Price | null {
  const { facts, recovery, work, step } = state
  const moveBack = facts.hasMoveBack ? moveBackRemaining(facts, work) : NOTHING
  if (work.completed || !facts.hasPrepare || step === 'move_back') return moveBack
  const total = redoBytes(recovery, facts)
  if (total === null) return null
  const rate = knownDiskRate(state)
  const redo = recoveryRemaining(recovery, facts, total, rate)
  const secondsSoFar = recovery.scanSeconds + recovery.pastSeconds + recovery.batchSeconds
  let remaining: Price = work.ending === 'no' ? redo : NOTHING
  if (!recovery.begun) remaining = add(remaining, deltaRemaining(facts, work))
  if (facts.tool === 'xtrabackup')
    remaining = add(remaining, undoRemaining(facts, recovery, work, secondsSoFar + redo.seconds))
  return add(add(remaining, endingRemaining(facts, work, redo.pages, rate)), moveBack)
}

/** Bytes per second; null where nothing waited for the disk, or nothing tells. */
function knownDiskRate({ disk, facts, recovery }: ProgressState): number | null {
  if (disk.seconds === 0)
    return scansTwice(facts) ? null : diskRateOfScan(facts.tool, recovery.scannedBytes, recovery.scanSeconds)
  const rate = diskRate(disk)
  // Other work on the machine may slow a scan: the disk is at least as fast as it was at its fastest.
  return rate !== null && scansTwice(facts) ? Math.max(rate, disk.peakRate) : rate
}

/**
 * Deltas are read and written once. Where their sizes are unknown, they hold the pages that the redo between the two
 * backups touched. Without samples of the tool's I/O, only time tells how many of them are done.
 */
function deltaRemaining({ deltaFiles, fromLsn, toLsn, dataFileBytes }: WorkFacts, work: Work): Price {
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

function undoRemaining(facts: WorkFacts, recovery: Recovery, work: Work, recoverySeconds: number): Price {
  if (work.undoEnded || work.applyLogOnly) return NOTHING
  if (work.undoRows === null) {
    // xtrabackup 2.4 prints what there is to undo before its last batch, later versions after it.
    const isKnown = scansTwice(facts) ? recovery.scanEnded : ENDINGS.indexOf(work.ending) >= SHUTTING_DOWN
    return isKnown ? NOTHING : guess(UNKNOWN_UNDO * recoverySeconds)
  }
  const prior = work.undoRows * ROW_UNDO_SECONDS
  return part(work.undoRowsDone + work.trxRowsDone, work.undoRows, work.undoSeconds, prior)
}

const SHUTTING_DOWN = ENDINGS.indexOf('shutting_down')

/** Dirty pages are written, and the instance shuts down. */
function endingRemaining(facts: WorkFacts, work: Work, pages: number, rate: number | null): Price {
  if (work.ending === 'shut_down') return NOTHING
  if (scansTwice(facts)) return twoEndingsRemaining(work, rate)
  const inMemory = facts.memoryBytes === null ? pages : Math.min(pages, facts.memoryBytes / PAGE_BYTES)
  // MariaDB writes all pages at the end of each batch: the price of its batches includes that.
  const flush = facts.tool === 'xtrabackup' ? inMemory * pageWriteSeconds(rate) : 0
  const whole = (facts.tool === 'xtrabackup' ? 4 : 1) * INSTANCE_SECONDS + flush
  return guess(whole * (1 - soften(work.endingSeconds / whole)))
}

/**
 * xtrabackup 2.4 writes all pages in its last batch. It shuts down, makes new redo files, starts and shuts down again.
 */
function twoEndingsRemaining(work: Work, rate: number | null): Price {
  const stages: [Ending, number][] = [
    ['flushing', START_SECONDS],
    ['shutting_down', SHUTDOWN_SECONDS],
  ]
  if (!work.applyLogOnly)
    stages.push(['second_start', START_SECONDS], ['second_shutdown', work.shutdownSeconds ?? SHUTDOWN_SECONDS])
  let remaining = NOTHING
  for (const [stage, seconds] of stages) {
    const ahead = ENDINGS.indexOf(stage) - ENDINGS.indexOf(work.ending)
    if (ahead >= 0)
      remaining = add(remaining, known(seconds * (ahead > 0 ? 1 : 1 - soften(work.endingSeconds / seconds))))
  }
  return work.applyLogOnly ? remaining : add(remaining, newRedoRemaining(work, rate))
}

/**
 * A file is first written into the page cache, which is quick, then synced to the disk, of which nothing tells. So
 * written bytes count as half done. Only a finished file shows the disk's speed.
 */
function newRedoRemaining(work: Work, rate: number | null): Price {
  if (ENDINGS.indexOf(work.ending) > ENDINGS.indexOf('new_redo')) return NOTHING
  const { newRedoDoneBytes: done, newRedoFileBytes: file, newRedoWrittenBytes: written } = work
  const total = Math.max(work.newRedoBytes ?? DEFAULT_NEW_REDO_BYTES, done + file)
  const ahead = 1 - (done + WRITTEN_IS_DONE * Math.min(written, file)) / total
  const prior = writeSeconds(total, rate)
  if (done === 0) return guess(ahead * prior)
  const f = done / total
  const seconds = (ahead * (work.newRedoSeconds + weights.prior * prior)) / (f + weights.prior)
  return { seconds, guessedSeconds: (seconds * weights.prior) / (f + weights.prior) }
}

const WRITTEN_IS_DONE = 0.5

export function moveBackRemaining({ moveBackFiles, moveBackCopyBytes }: WorkFacts, work: Work): Price {
  if (work.movedBack) return NOTHING
  const files = moveBackFiles ?? 0
  const bytes = moveBackCopyBytes ?? 0
  const prior = files * RENAME_SECONDS + bytes / COPY_BYTES_PER_SECOND
  const done = bytes > 0 ? work.bytesCopied / bytes : files > 0 ? work.filesMoved / files : 0
  return prior === 0 ? guess(RENAME_SECONDS) : part(done, 1, work.moveSeconds, prior)
}

const PREPARE_PER_EXTRACT = 0.5
const INCREMENTAL_PER_FULL = 0.35

/**
 * Seconds that remain of the restore: of this phase, the rest of this element, the elements after it, and our checks at
 * the end. What has not begun is priced by what is like it: a prepare by its extract; later elements by the seconds
 * that a stored byte has taken so far, or where a size is unknown, by the last incremental, else by the full backup.
 */
export function restoreRemaining(state: ProgressState, inPhase: Price | null = phaseRemaining(state)): Price | null {
  if (inPhase === null) return null
  if (state.phase === 'finalizing') return inPhase
  let { seconds, guessedSeconds } = inPhase
  const more = (guessed: number) => {
    seconds += guessed
    guessedSeconds += guessed
  }
  if (state.phase === 'restoring_basebackup')
    more(prepareRemaining(state)?.seconds ?? PREPARE_PER_EXTRACT * (state.phaseSeconds + inPhase.seconds))
  const later = Math.max(0, state.elements - Math.max(1, state.position))
  if (later > 0) {
    const one = () => lastIncremental(state) ?? INCREMENTAL_PER_FULL * fullSeconds(state, seconds)
    more(Math.max(later * INSTANCE_SECONDS, secondsBySize(state, seconds) ?? later * one()))
  }
  more(laterBinlogs(state) + finalizeRemaining(state).seconds)
  return { seconds, guessedSeconds }
}

/** Later elements by their stored bytes; null where a size is unknown. `remainingSeconds`: of the running element. */
function secondsBySize(
  { facts, elements, position, restoreSeconds }: ProgressState,
  remainingSeconds: number,
): number | null {
  const { chainBytes } = facts
  if (chainBytes.length !== elements) return null
  let soFar = 0
  let ahead = 0
  for (const [i, bytes] of chainBytes.entries()) {
    if (bytes === null) return null
    if (i < position) soFar += bytes
    else ahead += bytes
  }
  return soFar > 0 ? ((restoreSeconds + remainingSeconds) * ahead) / soFar : null
}

/** Seconds of the newest finished incremental; null where none is finished. */
function lastIncremental(state: ProgressState): number | null {
  const seconds = state.position > 2 ? secondsOfElement(state, state.position - 1) : 0
  return seconds > 0 ? seconds : null
}

/** Seconds of the full backup. `remainingSeconds`: of the running element, which may be the full backup. */
function fullSeconds(state: ProgressState, remainingSeconds: number): number {
  const seconds = secondsOfElement(state, 1)
  return state.position > 1 && seconds > 0 ? seconds : secondsOfElement(state, state.position) + remainingSeconds
}
