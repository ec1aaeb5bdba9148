/** The estimator's state: plain data, saved in the state file. Times are Unix ms, durations seconds, sizes bytes. */
import type { Phase, Step } from '../phases.ts'
import type { ToolSample } from '../process/proc-sample.ts'
import { initialDisk } from './cost-model.ts'
import { initialMyHoard } from './myhoard.ts'
import type { Elapsed, StallThresholds, WorkFacts } from './progress.ts'
import { initialRecovery } from './recovery.ts'

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
export const initialWork = {
  /** Source bytes read by extract. */
  sourceBytes: 0,
  /** Bytes of binlogs that the running binlog phase has copied or applied, and all; null before it tells. */
  binlogBytes: 0,
  binlogTotalBytes: null as number | null,
  /** Bytes of the delta files that are done, and of the one begun last. */
  deltaDoneBytes: 0,
  deltaFileBytes: 0,
  deltaSeconds: 0,
  /** I/O of delta apply in all, and since the file begun last: bytes read of deltas and written to tables. */
  deltaIoBytes: 0,
  deltaFileIoBytes: 0,
  /** Undo: rows in all, rows undone in transactions that are finished, and in the one running. */
  undoRows: null as number | null,
  undoRowsDone: 0,
  trxRows: 0,
  trxRowsDone: 0,
  undoSeconds: 0,
  undoEnded: false as boolean,
  ending: 'no' as Ending,
  /** Seconds since the last batch or rollback; for xtrabackup 2.4 those of the running stage. */
  endingSeconds: 0,
  /** xtrabackup 2.4: seconds of the first shutdown; null before its end. */
  shutdownSeconds: null as number | null,
  /** xtrabackup rolls nothing back and makes no new redo files: another increment follows. */
  applyLogOnly: false as boolean,
  /**
   * New redo files: bytes of all, of those that are done, and of the one now made; how much of that is written, not yet
   * synced.
   */
  newRedoBytes: null as number | null,
  newRedoDoneBytes: 0,
  newRedoFileBytes: 0,
  newRedoWrittenBytes: 0,
  /** Seconds of the files that are done. */
  newRedoSeconds: 0,
  completed: false as boolean,
  filesMoved: 0,
  bytesCopied: 0,
  moveSeconds: 0,
  movedBack: false as boolean,
}
export type Work = Readonly<typeof initialWork>

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
  binlogBytes: 0,
}

/** The state of an estimator that has seen nothing. */
export function emptyState(thresholds: StallThresholds, elements: number) {
  return {
    thresholds,
    elements,
    position: 0,
    phase: null as Phase | null,
    step: null as Step | null,
    facts: NO_FACTS,
    recovery: initialRecovery,
    work: initialWork,
    disk: initialDisk,
    myhoard: initialMyHoard,
    passed: false as boolean,
    /**
     * Events of the tool's stderr so far, and how many of them are to be passed over, because it is read again from its
     * start.
     */
    toolEvents: 0,
    eventsToSkip: 0,

    /** The newest sample of the running tool. Time up to `countedMs` is credited, pending or dropped. */
    sample: null as ToolSample | null,
    countedMs: null as number | null,
    /** Seconds in which the tool used CPU, without evidence of work yet. */
    pendingSeconds: 0,
    /** Credited seconds of the phase, and of the whole restore. */
    phaseSeconds: 0,
    restoreSeconds: 0,
    /** Seconds that remain, as of the newest evidence; null while unknown. */
    phaseRemainingSeconds: null as number | null,
    restoreRemainingSeconds: null as number | null,
    guessedSeconds: 0,
    shownPhase: null as number | null,
    shownRestore: null as number | null,
    /** Seconds of the phases before this one. */
    elapsed: [] as readonly Elapsed[],

    startedAtMs: null as number | null,
    lastProgressAtMs: null as number | null,
    /** How long the agent itself did not run since progress last moved, which was at `afterMs`. */
    pause: { ms: 0, afterMs: null as number | null },
    /** When the phase's percentage last changed. */
    lastMovedAtMs: null as number | null,
    lastActivityAtMs: null as number | null,
    lastPrintedAtMs: null as number | null,
    lastSampleAtMs: null as number | null,
    /** Since when the tool prints only that it finds no free pages. */
    starvedSinceMs: null as number | null,
  }
}
export type ProgressState = Readonly<ReturnType<typeof emptyState>>
