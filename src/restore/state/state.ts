import type { RestoreOptions } from '../../config/options.ts'
import type { ErrorCode, ErrorRecord } from '../../errors.ts'
import type { Phase, RestoreStatus, Step } from '../../phases.ts'
import type { ToolSample } from '../../process/proc-sample.ts'
import type { Exit } from '../../process/tool-exit.ts'
import type { ProgressState } from '../../progress/estimator.ts'
import type { Progress, ProgressInput } from '../../progress/progress.ts'
import type { ToolEvent } from '../../tool/events.ts'
import type { Plan } from '../plan/plan.ts'
import type { Made } from '../resume/cleanup.ts'
import type { RunId, RunRecord } from './runs.ts'

/**
 * The one immutable state of a restore. Only the reducer (reduce.ts) makes a new one, from an event; observers read it:
 * store first (state.json), then telemetry, terminal, HTTP. Plain JSON. Times are Unix ms.
 */
export interface RestoreState {
  /** Version of the state file's schema. */
  schema: 2
  restoreId: string
  /** The agent that wrote this state last, and the boot of the machine it ran in. */
  agentPid: number
  bootId: string
  /** What was asked for: a later agent goes on with it, or with what it is told otherwise (option-changes.ts). */
  options: RestoreOptions
  /** Name under which it was asked for; null where it had none. */
  backup: string | null
  /** Which backup is being restored: 0 the one asked for, then the older ones in turn. */
  backupIndex: number
  startedAtMs: number
  updatedAtMs: number
  status: RestoreStatus
  phase: Phase
  phaseStartedAtMs: number
  step: Step | null
  /** Null until the backup has been looked at. */
  plan: Plan | null
  /** From 1. */
  attempt: number
  /** Element of the chain now worked on (from 1), and how many there are; 0 until known. */
  position: number
  chainLength: number
  progress: Progress
  /** The estimator's own memory; opaque to everybody else. */
  estimator: ProgressState
  /** Bytes read of the stored form of the element now extracted, and their total where known. */
  source: SourceBytes
  /** The same of the element fetched ahead, until it comes to the front. */
  ahead: (SourceBytes & { position: number }) | null
  redo: { scannedLsn: number | null; appliedLsn: number | null; targetLsn: number | null }
  /** Rows left to roll back. */
  rollbackRows: number | null
  /** What the running step has done so far; becomes the attributes of its span. */
  work: StepWork
  /** Where the newest progress span of the running phase ended. */
  progressMark: { atMs: number; percent: number | null }
  counters: Counters
  trace: TraceIdentity
  /** Open spans, outermost first. None of them is known to the SDK until it ends. */
  spans: readonly OpenSpan[]
  /** Spans that the last event ended, to be exported once this state is on disk. Never persisted. */
  endedSpans: readonly EndedSpan[]
  tools: readonly RunningTool[]
  /** Runs that began, the newest last, so that a later attempt knows what stands. */
  runs: readonly RunRecord[]
  /** What is to be taken away again when the restore fails. */
  made: Made
  /** Attempts at this backup that failed, and agents that died with their tools. */
  failures: number
  interruptions: number
  /** Less memory for prepare, after a tool was killed for want of it. */
  memoryCapBytes: number | null
  /** The newest attempt's span: the next attempt links to it. */
  lastAttemptSpanId: string | null
  /** A later agent's own parent trace, linked from the attempt it begins. */
  resumeLink: SpanLink | null
  error: ErrorRecord | null
  /** Why the backup asked for was given up for an older one. */
  firstError: ErrorRecord | null
  /** Things a person should know; newest last, at most 20. */
  notices: readonly string[]
}

export interface SourceBytes {
  readBytes: number | null
  totalBytes: number | null
}

export interface StepWork {
  pages: number
  rows: number
  files: number
}

/** Since this agent process began; never re-based from the state file. Keyed by phase. */
export interface Counters {
  lines: Readonly<Partial<Record<Phase, number>>>
  linesDropped: Readonly<Partial<Record<Phase, number>>>
  ioReadBytes: Readonly<Partial<Record<Phase, number>>>
  ioWriteBytes: Readonly<Partial<Record<Phase, number>>>
  cpuSeconds: Readonly<Partial<Record<Phase, number>>>
  attempts: number
}

export type AttributeValue = string | number | boolean

export interface SpanLink {
  traceId: string
  spanId: string
}

/** Identity of the restore's trace, kept across attempts and agents. */
export interface TraceIdentity {
  traceId: string
  /** W3C trace flags: 1 sampled, 0 not. */
  flags: number
  traceState: string | null
  /** The first agent's TRACEPARENT, where it is the root's parent. */
  parentSpanId: string | null
  /** Prefix of this agent's span ids (8 hex digits); with the counter it makes the 16-digit id. */
  idPrefix: string
  nextId: number
}

/** `restore` is the root: it ends at once, so that the trace has its root; `outcome` is open until the restore ends. */
export type SpanKind = 'restore' | 'outcome' | 'attempt' | 'phase' | 'step' | 'progress' | 'tool'

export interface OpenSpan {
  id: string
  parentId: string | null
  kind: SpanKind
  name: string
  startedAtMs: number
  attributes: Readonly<Record<string, AttributeValue>>
  links: readonly SpanLink[]
}

export interface EndedSpan extends OpenSpan {
  endedAtMs: number
  error: { code: ErrorCode; message: string } | null
}

/** A tool's process, as the next agent needs it to find, adopt or end it. */
export interface RunningTool {
  id: string
  name: string
  /** The run it belongs to. */
  run: RunId
  /** The wrapper: leader of the tool's process group. */
  pid: number
  pgid: number
  /** Field 22 of /proc/<pid>/stat: guards against a reused pid. */
  startTicks: number
  stderrPath: string
  statusPath: string
  spanId: string
  /** Bytes of its stderr, up to the start of a line, that are in this state. */
  readOffset: number
  /** Set once it has ended and its run has not been judged yet. */
  exit: Exit | null
  /** How many tools its run has: with fewer in the state, the agent died while it noted them. */
  runSize: number
  /** The agent pumps bytes into it, so it cannot outlive the agent. */
  fedByAgent: boolean
}

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
      /** Element it works for: one fetched ahead says nothing of the one in front. */
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
    }
  /** The size of a source that is only known once somebody looked, such as a directory's. */
  | { type: 'source_size'; position: number; bytes: number | null }
  | { type: 'progress'; input: ProgressInput }
  | { type: 'notice'; text: string }
  | { type: 'tick' }
  | { type: 'ended'; status: Exclude<RestoreStatus, 'running'>; phase: Phase; error: ErrorRecord | null }
  | { type: 'run_begun'; run: RunId }
  /** Its tools have ended and passed every check. */
  | { type: 'run_finished'; run: RunId }
  /** These runs have to be done again. */
  | { type: 'runs_undone'; runs: readonly RunId[] }
  | { type: 'made'; made: Made }
  /** A failure that may pass: another attempt follows. */
  | { type: 'failed_attempt'; memoryCapBytes: number | null }
  /** The backup cannot be restored, for this error, and an older one is tried. */
  | { type: 'fell_back'; backupIndex: number; error: ErrorRecord }
  /** The next element is fetched while this one is prepared; its phase span opens beside the running one. */
  | { type: 'prefetch_started'; position: number }
  | { type: 'prefetch_ended'; position: number; error: ErrorRecord | null }
  /**
   * Another agent takes over the state file. `adopted`: the tools go on, and so do their spans; otherwise every open span but
   * the root is ended as interrupted at the last sign of life.
   */
  | {
      type: 'resumed'
      agentPid: number
      bootId: string
      idPrefix: string
      link: SpanLink | null
      adopted: boolean
      /** What the restore goes on with, and the plan as it follows from that; null where it has to be looked at anew. */
      options: RestoreOptions
      plan: Plan | null
      /** When the agent before wrote its last state. */
      lastSeenAtMs: number
    }
)

export type EventOf<T extends RestoreEvent['type']> = Extract<RestoreEvent, { type: T }>

/** Reads states; may never throw, wait or slow. */
export interface Observer {
  observe(state: RestoreState, event: RestoreEvent): void
}
