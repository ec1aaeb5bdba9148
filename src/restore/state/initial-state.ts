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
  /** The plan in short, for the spans `restore` and `restore started`. */
  attributes: Readonly<Record<string, AttributeValue>>
  stallThresholds: StallThresholds
}

/** A restore's first state: the root span open, `restore started` ended at once so that the trace can be found. */
export function initialState(identity: RestoreIdentity, atMs: number): RestoreState {
  const estimator = initialProgress({ stallThresholds: identity.stallThresholds })
  const blank: RestoreState = {
    schema: 1,
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
    begun: [],
    finished: [],
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
  const root = openSpan(blank, { kind: 'restore', name: 'restore', atMs, attributes, links })
  return addEndedSpan(root, { kind: 'restore_started', name: 'restore started', atMs, endedAtMs: atMs, attributes })
}
