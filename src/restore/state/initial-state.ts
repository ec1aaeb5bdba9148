import type { RestoreOptions } from '../../config/options.ts'
import { initialProgress, viewProgress } from '../../progress/estimator.ts'
import type { StallThresholds } from '../../progress/progress.ts'
import { nothingMade } from '../resume/cleanup.ts'
import { addEndedSpan, openSpan } from './spans.ts'
import type { AttributeValue, RestoreState, SpanLink, TraceIdentity } from './state.ts'

export interface RestoreIdentity {
  restoreId: string
  agentPid: number
  bootId: string
  options: RestoreOptions
  /** Name under which it was asked for. */
  backup?: string | null
  trace: TraceIdentity
  /** The parent of an unsampled TRACEPARENT, linked instead of joined. */
  link: SpanLink | null
  /** The plan in short, for the spans `restore` and `restore outcome`. */
  attributes: Readonly<Record<string, AttributeValue>>
  stallThresholds: StallThresholds
}

/**
 * A restore's first state. The root span has ended, 1 ms long, so that the trace has a root from its first second; its
 * child `restore outcome` is open until the restore ends.
 */
export function initialState(identity: RestoreIdentity, atMs: number): RestoreState {
  const estimator = initialProgress({ stallThresholds: identity.stallThresholds })
  const blank: RestoreState = {
    schema: 2,
    restoreId: identity.restoreId,
    agentPid: identity.agentPid,
    bootId: identity.bootId,
    options: identity.options,
    backup: identity.backup ?? null,
    backupIndex: 0,
    startedAtMs: atMs,
    updatedAtMs: atMs,
    status: 'running',
    phase: 'getting_backup_info',
    phaseStartedAtMs: atMs,
    step: null,
    plan: null,
    attempt: 0,
    position: 0,
    chainLength: 0,
    progress: viewProgress(estimator, atMs),
    estimator,
    source: { readBytes: null, totalBytes: null },
    ahead: null,
    redo: { scannedLsn: null, appliedLsn: null, targetLsn: null },
    rollbackRows: null,
    work: { pages: 0, rows: 0, files: 0 },
    progressMark: { atMs, percent: null },
    counters: { lines: {}, linesDropped: {}, ioReadBytes: {}, ioWriteBytes: {}, cpuSeconds: {}, attempts: 0 },
    trace: identity.trace,
    spans: [],
    endedSpans: [],
    tools: [],
    runs: [],
    made: nothingMade(),
    failures: 0,
    interruptions: 0,
    memoryCapBytes: null,
    lastAttemptSpanId: null,
    resumeLink: null,
    error: null,
    firstError: null,
    notices: [],
  }
  const attributes = { 'restore.id': identity.restoreId, ...identity.attributes }
  const links = identity.link ? [identity.link] : []
  const root = { kind: 'restore', name: 'restore', atMs, endedAtMs: atMs + 1, attributes, links } as const
  const begun = addEndedSpan(blank, root)
  const parent = begun.endedSpans[0]
  return openSpan(begun, { kind: 'outcome', name: 'restore outcome', atMs, attributes, parent })
}
