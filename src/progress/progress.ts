import type { Phase, Step } from '../phases.ts'
import type { ToolSample } from '../process/proc-sample.ts'
import type { ToolEvent } from '../tool/events.ts'

/** Facts about the work; null where unknown. Sizes in bytes, LSNs in bytes of redo. */
export interface WorkFacts {
  tool: 'mariadb-backup' | 'xtrabackup'
  toolVersion: string | null
  /** Bytes of the element's source as stored. */
  sourceBytes: number | null
  /**
   * The same of every element of the chain, first to last: later ones are priced by their sizes. Empty where it is not
   * looked at.
   */
  chainBytes: readonly (number | null)[]
  /** From the element's own checkpoints file. */
  fromLsn: number | null
  toLsn: number | null
  lastLsn: number | null
  redoMemoryBytes: number | null
  redoFrames: number | null
  /** Size of ib_logfile0 / xtrabackup_logfile in the extracted element. */
  redoBytes: number | null
  /** All data files in the target dir when prepare starts. */
  dataFileBytes: number | null
  /**
   * Delta files of an incremental, by path as the tool prints it relative to the incremental's dir, with their sizes.
   */
  deltaFiles: Readonly<Record<string, number>> | null
  /** Memory given to prepare. */
  memoryBytes: number | null
  /** What move-back has to do: files in all, and their bytes where it copies across file systems (0: renames). */
  moveBackFiles: number | null
  moveBackCopyBytes: number | null
  /** Whether this element's plan has a prepare, a move-back and a start check at all. */
  hasPrepare: boolean
  hasMoveBack: boolean
  hasStartCheck: boolean
  /** Bytes of binlogs that will be applied at the end, as far as it is known; 0 without a recovery. */
  binlogBytes: number | null
}

/** A part of the work that a new attempt keeps or does again as a whole; position from 1. */
export interface WorkPart {
  position: number
  part: 'fetch' | 'prepare' | 'move_back'
}

/** Seconds that a part took. */
export interface Elapsed extends WorkPart {
  seconds: number
}

export type ProgressInput =
  /** The restore or a new attempt begins: everything is forgotten but the seconds of the parts that are kept. */
  | { type: 'restart'; elements: number; kept?: readonly WorkPart[] }
  /** An element of the chain begins (position from 1): percent and ETA of the element before are gone. */
  | { type: 'element'; position: number; facts: WorkFacts }
  | { type: 'facts'; facts: Partial<WorkFacts> }
  | { type: 'phase'; phase: Phase }
  /**
   * A step that the coordinator begins itself (move_back, verify, ownership, start_check); the others come from tool
   * events.
   */
  | { type: 'step'; step: Step }
  | { type: 'tool'; event: ToolEvent }
  /** `lines` are the stderr lines since the last sample. */
  | { type: 'sample'; sample: ToolSample; lines?: number }
  /** Position in the source while it is extracted. */
  | { type: 'source'; readBytes: number }
  /** Bytes of binlogs that the running phase has copied or applied, and all of them. */
  | { type: 'binlogs'; doneBytes: number; totalBytes: number }
  /** The running phase has ended and passed all our checks. */
  | { type: 'passed' }
  /** Once a second. Moves nothing forward: only quiet and stall depend on it. */
  | { type: 'tick'; pausedMs?: number }

/**
 * What is shown. Percentages are 0-100 (fractions allowed; metrics use the integer part), times Unix ms; null
 * is unknown.
 */
export interface Progress {
  phasePercent: number | null
  restorePercent: number | null
  /** MyHoard's number, an integer. */
  scanPercent: number | null
  step: Step | null
  eta: { atMs: number; earliestMs: number; latestMs: number } | null
  /** Time of the newest evidence of progress. */
  lastProgressAtMs: number
  /** When the tool last used CPU, did I/O or printed. */
  lastActivityAtMs: number
  /** Since when the tool prints nothing and the percentage does not change; null while either moves. */
  quietSinceMs: number | null
  /** What the tool does now (watchdog.ts). `unknown` where /proc hides it. */
  activity: 'progressing' | 'working' | 'flooding' | 'dead' | 'unknown'
  stalled: boolean
  stallThresholdMs: number
}

export interface StallThresholds {
  /** Milliseconds without progress that count as stalled, by step or phase; `default` for the rest. */
  readonly [stepOrPhase: string]: number
}
