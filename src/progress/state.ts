/** The estimator's state: plain data, saved in the state file. Times are Unix ms, durations seconds, sizes bytes. */
import type { Phase, Step } from '../phases.ts'
import type { ToolSample } from '../process/proc-sample.ts'
import { type DiskMeter, initialDisk } from './cost-model.ts'
import { initialMyHoard, type MyHoard } from './myhoard.ts'
import type { Elapsed, StallThresholds, WorkFacts } from './progress.ts'
import { initialRecovery, type Recovery } from './recovery.ts'

/**
 * The stages at the end of a prepare. Those from `new_redo` to `second_shutdown` are of xtrabackup 2.4 alone: after its
 * shutdown it makes new redo files and starts InnoDB a second time.
 */
export const ENDINGS = [
  'no',
  'flushing',
  'shutting_down',
  'new_redo',
  'second_start',
  'second_shutdown',
  'shut_down',
] as const
export type Ending = (typeof ENDINGS)[number]

/** What is done of the parts that are not recovery. */
export interface Work {
  /** Source bytes read by extract. */
  sourceBytes: number
  /** Bytes of the delta files that are done, and of the one begun last. */
  deltaDoneBytes: number
  deltaFileBytes: number
  deltaSeconds: number
  /** I/O of delta apply in all, and since the file begun last: bytes read of deltas and written to tables. */
  deltaIoBytes: number
  deltaFileIoBytes: number
  /** Undo: rows in all, rows undone in transactions that are finished, and in the one running. */
  undoRows: number | null
  undoRowsDone: number
  trxRows: number
  trxRowsDone: number
  undoSeconds: number
  undoEnded: boolean
  ending: Ending
  /** Seconds since the last batch or rollback; for xtrabackup 2.4 those of the running stage. */
  endingSeconds: number
  /** xtrabackup 2.4: seconds of the first shutdown; null before its end. */
  shutdownSeconds: number | null
  /** xtrabackup rolls nothing back and makes no new redo files: another increment follows. */
  applyLogOnly: boolean
  /**
   * New redo files: bytes of all, of those that are done, and of the one now made; how much of that is written, not yet
   * synced.
   */
  newRedoBytes: number | null
  newRedoDoneBytes: number
  newRedoFileBytes: number
  newRedoWrittenBytes: number
  /** Seconds of the files that are done. */
  newRedoSeconds: number
  completed: boolean
  filesMoved: number
  bytesCopied: number
  moveSeconds: number
  movedBack: boolean
}

export const initialWork: Work = {
  sourceBytes: 0,
  deltaDoneBytes: 0,
  deltaFileBytes: 0,
  deltaSeconds: 0,
  deltaIoBytes: 0,
  deltaFileIoBytes: 0,
  undoRows: null,
  undoRowsDone: 0,
  trxRows: 0,
  trxRowsDone: 0,
  undoSeconds: 0,
  undoEnded: false,
  ending: 'no',
  endingSeconds: 0,
  shutdownSeconds: null,
  applyLogOnly: false,
  newRedoBytes: null,
  newRedoDoneBytes: 0,
  newRedoFileBytes: 0,
  newRedoWrittenBytes: 0,
  newRedoSeconds: 0,
  completed: false,
  filesMoved: 0,
  bytesCopied: 0,
  moveSeconds: 0,
  movedBack: false,
}

export interface ProgressState {
  thresholds: StallThresholds
  elements: number
  position: number
  phase: Phase | null
  step: Step | null
  facts: WorkFacts
  recovery: Recovery
  work: Work
  disk: DiskMeter
  myhoard: MyHoard
  passed: boolean
  /**
   * Events of the tool's stderr so far, and how many of them are to be passed over, because it is read again from its
   * start.
   */
  toolEvents: number
  eventsToSkip: number

  /** The newest sample of the running tool. Time up to `countedMs` is credited, pending or dropped. */
  sample: ToolSample | null
  countedMs: number | null
  /** Seconds in which the tool used CPU, without evidence of work yet. */
  pendingSeconds: number
  /** Credited seconds of the phase, and of the whole restore. */
  phaseSeconds: number
  restoreSeconds: number
  /** Seconds that remain, as of the newest evidence; null while unknown. */
  phaseRemainingSeconds: number | null
  restoreRemainingSeconds: number | null
  guessedSeconds: number
  shownPhase: number | null
  shownRestore: number | null
  /** Seconds of the phases before this one. */
  elapsed: readonly Elapsed[]

  startedAtMs: number | null
  lastProgressAtMs: number | null
  /** When the phase's percentage last changed. */
  lastMovedAtMs: number | null
  lastActivityAtMs: number | null
  lastPrintedAtMs: number | null
  lastSampleAtMs: number | null
  /** Since when the tool prints only that it finds no free pages. */
  starvedSinceMs: number | null
}

export const NO_FACTS: WorkFacts = {
  tool: 'mariadb-backup',
  toolVersion: null,
  sourceBytes: null,
  chainBytes: [],
  fromLsn: null,
  toLsn: null,
  lastLsn: null,
  redoMemoryBytes: null,
  redoFrames: null,
  redoBytes: null,
  dataFileBytes: null,
  deltaFiles: null,
  memoryBytes: null,
  moveBackFiles: null,
  moveBackCopyBytes: null,
  hasPrepare: true,
  hasMoveBack: true,
  hasStartCheck: false,
}

export function emptyState(thresholds: StallThresholds, elements: number): ProgressState {
  return {
    thresholds,
    elements,
    position: 0,
    phase: null,
    step: null,
    facts: NO_FACTS,
    recovery: initialRecovery,
    work: initialWork,
    disk: initialDisk,
    myhoard: initialMyHoard,
    passed: false,
    toolEvents: 0,
    eventsToSkip: 0,
    sample: null,
    countedMs: null,
    pendingSeconds: 0,
    phaseSeconds: 0,
    restoreSeconds: 0,
    phaseRemainingSeconds: null,
    restoreRemainingSeconds: null,
    guessedSeconds: 0,
    shownPhase: null,
    shownRestore: null,
    elapsed: [],
    startedAtMs: null,
    lastProgressAtMs: null,
    lastMovedAtMs: null,
    lastActivityAtMs: null,
    lastPrintedAtMs: null,
    lastSampleAtMs: null,
    starvedSinceMs: null,
  }
}
