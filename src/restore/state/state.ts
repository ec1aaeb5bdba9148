import type { z } from 'zod'
import type { Immutable, RestoreOptions } from '../../config/options.ts'
import type { ErrorRecord } from '../../errors.ts'
import type { Phase, RestoreStatus, Step } from '../../phases.ts'
import type { ToolSample } from '../../process/proc-sample.ts'
import type { ProgressInput } from '../../progress/progress.ts'
import type { TransferProgress } from '../../source/transfer/stats.ts'
import type { ToolEvent } from '../../tool/events.ts'
import type { Plan } from '../plan/plan.ts'
import type { RunId } from './runs.ts'
import type { stateSchema } from './state-schema.ts'

/**
 * The one immutable state of a restore; state-schema.ts describes its fields. Only the reducer (reduce.ts) makes a new
 * one, from an event. Observers read it: the state file first, then telemetry, terminal, HTTP.
 */
export type RestoreState = Immutable<z.output<typeof stateSchema>>

export type SourceBytes = RestoreState['source']
export type Counters = RestoreState['counters']
export type TraceIdentity = RestoreState['trace']
export type OpenSpan = RestoreState['spans'][number]
export type EndedSpan = RestoreState['endedSpans'][number]
export type UnsentSpan = RestoreState['unsentSpans'][number]
export type SpanKind = OpenSpan['kind']
export type SpanLink = OpenSpan['links'][number]
export type AttributeValue = OpenSpan['attributes'][string]
export type RunningTool = RestoreState['tools'][number]
export type CleanupLedger = RestoreState['cleanup']
export type PartialDatadir = NonNullable<CleanupLedger['partialDatadir']>

/**
 * What is being restored now: the backup asked for, or the older one gone back to. An older one is always copied:
 * `--in-place` gave away the first only.
 */
export const currentOptions = ({ options, backupIndex }: RestoreState): RestoreOptions =>
  backupIndex === 0 ? options : { ...options, sources: options.olderBackups[backupIndex - 1]!, inPlace: false }

/** What happens to a restore. The reducer is the only reader that changes anything because of it. */
export type RestoreEvent = { atMs: number } /** The first event, beside the initial state. */ & (
  | { type: 'restore_started' }
  | { type: 'attempt_started' }
  | { type: 'attempt_ended'; error: ErrorRecord | null }
  | { type: 'planned'; plan: Plan }
  | { type: 'phase_started'; phase: Phase; position: number }
  | { type: 'phase_ended'; error: ErrorRecord | null }
  /** A step the coordinator begins itself; those inside prepare begin when the estimator sees them. */
  | { type: 'step_started'; step: Step }
  /** `tool.spanId` was chosen before the start, so that the tool's own children could be told their parent. */
  | { type: 'tool_started'; position: number; tool: RunningTool; attributes: Readonly<Record<string, AttributeValue>> }
  | { type: 'tool_ended'; id: string; exitCode: number | null; signal: string | null; error: ErrorRecord | null }
  /** Lines of one tool since the last such event: their events, and the texts (bounded) for the log. */
  | {
      type: 'tool_lines'
      /** Element it works for: lines about the prefetched element say nothing of the current one. */
      position: number
      id: string
      tool: string
      readOffset: number
      events: readonly ToolEvent[]
      lines: readonly string[]
      count: number
      dropped: number
    }
  /** `delta` is what the tools did since the sample before. */
  | {
      type: 'sample'
      position: number
      sample: ToolSample
      lines: number
      delta: ToolSample
      sourceReadBytes: number | null
      /** Of the transfer process that brings the bytes; null without one. */
      transfer?: TransferProgress | null
    }
  /** The size of a source that is only known once somebody looked, such as a directory's. */
  | { type: 'source_size'; position: number; bytes: number | null }
  | { type: 'progress'; input: ProgressInput }
  | { type: 'notice'; text: string }
  /** A backend acknowledged these spans. */
  | { type: 'spans_exported'; ids: readonly string[] }
  /** Once a second. `pausedMs`: for so long the agent itself did not run (SIGSTOP, a paused container). */
  | { type: 'tick'; pausedMs?: number }
  | {
      type: 'ended'
      status: Exclude<RestoreStatus, 'running'>
      phase: Phase
      error: ErrorRecord | null
      /** Of a success: the directory that holds the data (`identityOf`). */
      datadirIdentity?: string | null
    }
  /** A command has told its caller of the success. */
  | { type: 'reported' }
  /** From here on what the ledger lists is being removed; afterwards no run stands. */
  | { type: 'removal_begun' }
  | { type: 'removal_ended' }
  | { type: 'run_begun'; run: RunId }
  /** Its tools have ended and passed every check. */
  | { type: 'run_finished'; run: RunId }
  /** These runs have to be done again. */
  | { type: 'runs_undone'; runs: readonly RunId[] }
  | { type: 'cleanup'; cleanup: CleanupLedger }
  /** A failure that may pass: another attempt follows. */
  | { type: 'failed_attempt'; memoryCapBytes: number | null }
  /** The backup cannot be restored, for this error, and an older one is tried. */
  | { type: 'fell_back'; backupIndex: number; error: ErrorRecord }
  /** The next element is fetched while this one is prepared; its phase span opens beside the running one. */
  | { type: 'prefetch_started'; position: number }
  | { type: 'prefetch_ended'; position: number; error: ErrorRecord | null }
  /**
   * Another agent takes over the state file. `adopted`: the tools keep running, and their spans stay open; otherwise
   * every open span but the root is ended as interrupted at the last sign of life.
   */
  | {
      type: 'resumed'
      agentPid: number
      bootId: string
      idPrefix: string
      link: SpanLink | null
      adopted: boolean
      /**
       * What the restore continues with, and the plan as it follows from that; null where it has to be looked at anew.
       */
      options: RestoreOptions
      plan: Plan | null
      /** What stands (resume/decision.ts). */
      runs: RestoreState['runs']
      cleanup: CleanupLedger
      /** When the agent before wrote its last state. */
      lastSeenAtMs: number
    }
)

export type EventOf<T extends RestoreEvent['type']> = Extract<RestoreEvent, { type: T }>

/** Reads states; may never throw, wait or slow. */
export interface Observer {
  observe(state: RestoreState, event: RestoreEvent): void
}
