import type { z } from 'zod'
import type { Applied } from '../../binlog/applied.ts'
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
 * The options of the backup being restored: the one asked for, or an older one. An older one is always copied:
 * `--in-place` applies to the one asked for.
 */
export const currentOptions = ({ options, backupIndex }: RestoreState): RestoreOptions =>
  backupIndex === 0 ? options : { ...options, sources: options.olderBackups[backupIndex - 1]!, inPlace: false }

/** Everything that happens to a restore. Only the reducer changes the state because of it. */
export type RestoreEvent = { atMs: number } /** The first event; the initial state has its content. */ & (
  | { type: 'restore_started' }
  | { type: 'attempt_started' }
  | { type: 'attempt_ended'; error: ErrorRecord | null }
  | { type: 'planned'; plan: Plan }
  | { type: 'phase_started'; phase: Phase; position: number }
  | { type: 'phase_ended'; error: ErrorRecord | null }
  /** A step that the coordinator begins. Steps within prepare begin when the estimator recognises them. */
  | { type: 'step_started'; step: Step }
  /** `tool.spanId` is chosen before the start, so that the tool's environment can name it as the parent. */
  | { type: 'tool_started'; position: number; tool: RunningTool; attributes: Readonly<Record<string, AttributeValue>> }
  | { type: 'tool_ended'; id: string; exitCode: number | null; signal: string | null; error: ErrorRecord | null }
  /** Lines of one tool since the last such event: their events, and the texts (bounded) for the log. */
  | {
      type: 'tool_lines'
      /** The element it works on: lines about the prefetched element say nothing about the current one. */
      position: number
      id: string
      tool: string
      readOffset: number
      events: readonly ToolEvent[]
      lines: readonly string[]
      count: number
      dropped: number
    }
  /** `delta`: the work since the sample before. */
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
  /** The size of a source that is known only after a walk, such as a directory's. */
  | { type: 'source_size'; position: number; bytes: number | null }
  | { type: 'progress'; input: ProgressInput }
  /** How far the server that applies binlogs is. */
  | { type: 'applied'; applied: Applied }
  | { type: 'notice'; text: string }
  /** A backend acknowledged these spans. */
  | { type: 'spans_exported'; ids: readonly string[] }
  /** Once a second. `pausedMs`: how long the agent itself did not run (SIGSTOP, a paused container). */
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
  /** What the ledger lists is being removed; afterwards no run stands. */
  | { type: 'removal_begun' }
  | { type: 'removal_ended' }
  | { type: 'run_begun'; run: RunId }
  /** Its tools have ended and passed every check. */
  | { type: 'run_finished'; run: RunId }
  /** Its tools have ended, and it has not passed: the next try starts others. */
  | { type: 'run_failed'; run: RunId }
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
   * Another agent takes over. `adopted`: the tools keep running and their spans stay open; otherwise every open span
   * but the root ends as interrupted.
   */
  | {
      type: 'resumed'
      agentPid: number
      bootId: string
      idPrefix: string
      link: SpanLink | null
      adopted: boolean
      /**
       * The options that the restore continues with, and the plan for them; null where the backup must be inspected
       * again.
       */
      options: RestoreOptions
      plan: Plan | null
      /** What stands, by resume/decision.ts. */
      runs: RestoreState['runs']
      cleanup: CleanupLedger
      /** When the earlier agent wrote its last state. */
      lastSeenAtMs: number
    }
)

export type EventOf<T extends RestoreEvent['type']> = Extract<RestoreEvent, { type: T }>

/** Gets every state after it was written. It must not throw, wait or take long. */
export interface Observer {
  observe(state: RestoreState, event: RestoreEvent): void
}
