/**
 * What the estimator remembers: plain data, stored in the state file and read back in mid-run. Times are Unix ms,
 * durations seconds, sizes bytes.
 */
import type { Phase, Step } from '../phases.ts'
import type { ToolSample } from '../process/proc-sample.ts'
import { type DiskMeter, initialDisk } from './cost-model.ts'
import { initialMyHoard, type MyHoard } from './myhoard.ts'
import type { Elapsed, StallThresholds, WorkFacts } from './progress.ts'
import { initialRecovery, type Recovery } from './recovery.ts'

/**
 * How far the end of a prepare is. Those in the middle are xtrabackup 2.4's alone: after its shutdown it makes new redo
 * files, and starts InnoDB on them a second time.
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

/** What is done of the parts of a phase that are not recovery. */
export interface Work {
  /** Source bytes read by extract. */
  sourceBytes: number
  /** Bytes of the delta files that are done, and of the one begun last. */
  deltaDoneBytes: number
  deltaFileBytes: number
  deltaSeconds: number
  /** I/O of all of delta apply, and of the file begun last: what is read of deltas and written to tables. */
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
  /** Seconds since the last batch or rollback; with xtrabackup 2.4 those of the stage now running. */
  endingSeconds: number
  /** xtrabackup 2.4: what the first shutdown took; null before. */
  shutdownSeconds: number | null
  /** xtrabackup was told to roll nothing back, as another increment follows: it makes no new redo files either. */
  applyLogOnly: boolean
  /**
   * New redo files: bytes of all, of those that are done, and of the one now made; how much of that is written, not yet
   * synced.
   */
  newRedoBytes: number | null
  newRedoDoneBytes: number
  newRedoFileBytes: number
  newRedoWrittenBytes: number
  /** What the files that are done took. */
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

  /** The newest sample of the tool now running; time is accounted for up to `countedMs`. */
  sample: ToolSample | null
  countedMs: number | null
  /** Seconds in which the tool worked, not yet credited: no evidence came of what they did. */
  pendingSeconds: number
  /** Credited seconds of the phase, and of the whole restore. */
  phaseSeconds: number
  restoreSeconds: number
  /** What is left, as seen at the newest evidence; null while unknown. */
  phaseRemainingSeconds: number | null
  restoreRemainingSeconds: number | null
  guessedSeconds: number
  shownPhase: number | null
  shownRestore: number | null
  /** What the phases before this one took. */
  elapsed: readonly Elapsed[]

  startedAtMs: number | null
  lastProgressAtMs: number | null
  /** When the phase's percentage last changed. */
  lastMovedAtMs: number | null
  lastActivityAtMs: number | null
  lastPrintedAtMs: number | null
  lastSampleAtMs: number | null
  /** Since when a tool complains of having no free pages and says nothing else. */
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
