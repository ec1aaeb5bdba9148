import type { RestoreOptions } from '../../config/options.ts'
import { ERRORS } from '../../errors.ts'
import type { WorkPart } from '../../progress/progress.ts'
import { factsOf } from '../plan/plan.ts'
import {
  beginPrefetched,
  endTool,
  readLines,
  startTool,
  takeApplied,
  takeSample,
  updatePrefetched,
} from './reduce-tools.ts'
import { followTransfer, forgetTransfer } from './reduce-transfer.ts'
import { isRun, withRun } from './runs.ts'
import {
  addEndedSpan,
  advanceEstimator,
  endPhase,
  endPhaseSpans,
  endSpans,
  followProgress,
  keepUnsent,
  openPhaseSpan,
  openSpan,
  openSpanOf,
  startPhase,
  startStep,
  withoutSent,
} from './spans.ts'
import type { AttributeValue, EventOf, RestoreEvent, RestoreState, SpanLink, TraceIdentity } from './state.ts'
import { emptyLedger, SCHEMA, stallThresholds, stateSchema } from './state-schema.ts'

/**
 * The only place where a restore's state changes: (state, event) -> state. Pure.
 *
 * Every event first reaches the estimator as its own kind of input, then the state's fields, then the spans that begin
 * or end because of it. A span that ended is in `endedSpans` of exactly one state.
 */
export function reduce(before: RestoreState, raw: RestoreEvent): RestoreState {
  // A clock that was set back must not make a span end before it began.
  const event = raw.atMs < before.updatedAtMs ? { ...raw, atMs: before.updatedAtMs } : raw
  const fresh: RestoreState = { ...before, endedSpans: [], updatedAtMs: event.atMs }
  return keepUnsent(followProgress(before, apply(fresh, event), event.atMs))
}

function apply(state: RestoreState, event: RestoreEvent): RestoreState {
  switch (event.type) {
    case 'restore_started':
      return state
    case 'attempt_started':
      return startAttempt(state, event.atMs)
    case 'attempt_ended':
      return endSpans({ ...state, tools: [] }, span => span.kind !== 'outcome', {
        atMs: event.atMs,
        error: event.error,
      })
    case 'planned':
      return adoptPlan(state, event)
    case 'phase_started':
      return startPhase(state, event)
    case 'phase_ended':
      return endPhase(state, event)
    case 'prefetch_started':
      // Not for the current element: it would have two open phases.
      return event.position === state.position
        ? state
        : openPhaseSpan(beginPrefetched(state, event.position), 'restoring_basebackup', event.position, event.atMs)
    case 'prefetch_ended':
      return endPhaseSpans(state, event.position, event)
    case 'step_started':
      return startStep(advanceEstimator(state, { type: 'step', step: event.step }, event.atMs), event.step, event.atMs)
    case 'tool_started':
      return startTool(state, event)
    case 'tool_ended':
      return endTool(state, event)
    case 'tool_lines':
      return readLines(state, event)
    case 'sample':
      return followTransfer(takeSample(state, event), event)
    case 'run_begun':
      return { ...forgetTransfer(state, event.run), runs: withRun(state.runs, event.run, false) }
    case 'run_finished':
      return {
        ...state,
        runs: withRun(state.runs, event.run, true),
        tools: state.tools.filter(({ run }) => !isRun(run, event.run)),
      }
    case 'run_failed':
      return { ...state, tools: state.tools.filter(({ run }) => !isRun(run, event.run)) }
    case 'runs_undone':
      return beginAgain(
        {
          ...state,
          runs: state.runs.filter(run => !event.runs.some(undone => isRun(run, undone))),
          tools: state.tools.filter(({ run }) => !event.runs.some(undone => isRun(run, undone))),
        },
        event.atMs,
      )
    case 'cleanup':
      return { ...state, cleanup: event.cleanup }
    case 'failed_attempt':
      return { ...state, failures: state.failures + 1, memoryCapBytes: event.memoryCapBytes }
    case 'fell_back':
      return {
        ...state,
        backupIndex: event.backupIndex,
        firstError: state.firstError ?? event.error,
        plan: null,
        runs: [],
        transfers: {},
        failures: 0,
        chainLength: 0,
      }
    case 'source_size':
      if (event.position !== state.position) return updatePrefetched(state, event.position, { totalBytes: event.bytes })
      return advanceEstimator(
        { ...state, source: { ...state.source, totalBytes: event.bytes } },
        { type: 'facts', facts: { sourceBytes: event.bytes } },
        event.atMs,
      )
    case 'progress':
      return advanceEstimator(state, event.input, event.atMs)
    case 'applied':
      return takeApplied(state, event)
    case 'spans_exported':
      return withoutSent(state, event.ids)
    case 'notice':
      return { ...state, notices: [...state.notices, event.text].slice(-20) }
    case 'tick':
      return advanceEstimator(state, { type: 'tick', pausedMs: event.pausedMs ?? 0 }, event.atMs)
    case 'reported':
      return { ...state, success: state.success && { ...state.success, reported: true } }
    case 'removal_begun':
      return { ...state, cleanup: { ...state.cleanup, removing: true } }
    case 'removal_ended':
      return { ...state, cleanup: emptyLedger(), runs: [] }
    case 'resumed':
      return resume(state, event)
    case 'ended':
      return end(state, event)
  }
}

const PARTS: ReadonlySet<string> = new Set(['fetch', 'prepare', 'move_back'] satisfies WorkPart['part'][])

/**
 * The estimator before the first phase of an attempt. Finished work that stands counts as done; everything else is
 * forgotten.
 */
function beginAgain(state: RestoreState, atMs: number): RestoreState {
  const elements = Math.max(1, state.chainLength)
  const kept = state.runs.flatMap(({ element, kind, finished }): WorkPart[] =>
    finished && PARTS.has(kind) ? [{ position: element, part: kind as WorkPart['part'] }] : [],
  )
  return advanceEstimator(state, { type: 'restart', elements, kept }, atMs)
}

function startAttempt(state: RestoreState, atMs: number): RestoreState {
  const attempt = state.attempt + 1
  const previous = state.lastAttemptSpanId
  const opened = openSpan(beginAgain(state, atMs), {
    kind: 'attempt',
    name: 'attempt',
    atMs,
    attributes: { 'restore.attempt': attempt },
    links: [
      ...(previous ? [{ traceId: state.trace.traceId, spanId: previous }] : []),
      ...(state.resumeLink ? [state.resumeLink] : []),
    ],
  })
  return {
    ...opened,
    attempt,
    phase: 'getting_backup_info',
    phaseStartedAtMs: atMs,
    position: 0,
    error: null,
    step: null,
    resumeLink: null,
    lastAttemptSpanId: openSpanOf(opened, 'attempt')!.id,
    source: { readBytes: null, totalBytes: null },
    prefetched: null,
    redo: { scannedLsn: null, appliedLsn: null, targetLsn: null },
    rollbackRows: null,
    counters: { ...opened.counters, attempts: opened.counters.attempts + 1 },
  }
}

/**
 * Two kinds of event bring a plan: before anything is written, and after each extract, when the metadata are complete.
 */
function adoptPlan(state: RestoreState, event: EventOf<'planned'>): RestoreState {
  const planned = { ...state, plan: event.plan, chainLength: event.plan.elements.length }
  if (state.plan === null || state.plan.elements.length !== event.plan.elements.length)
    return beginAgain(planned, event.atMs)
  if (state.position === 0) return planned
  const facts = factsOf(event.plan, state.position)
  return advanceEstimator(
    { ...planned, redo: { ...state.redo, targetLsn: facts.lastLsn } },
    { type: 'facts', facts },
    event.atMs,
  )
}

function end(before: RestoreState, event: EventOf<'ended'>): RestoreState {
  const state: RestoreState = {
    ...before,
    status: event.status,
    phase: event.phase,
    phaseStartedAtMs: event.atMs,
    step: null,
    error: event.error,
    tools: [],
    // From now on the datadir belongs to the user.
    cleanup: event.status === 'succeeded' ? emptyLedger() : before.cleanup,
    success: event.datadirIdentity ? { datadirIdentity: event.datadirIdentity, reported: false } : null,
  }
  const family = state.plan?.tool.family
  const restored = state.plan?.elements.at(-1)?.description
  const { dataAsOfMs } = state.binlogs
  const point = dataAsOfMs === null ? restored?.endTime : new Date(dataAsOfMs).toISOString()
  // A failed recovery has come to no position that is known.
  const end = event.status === 'succeeded' && state.plan?.binlogs ? state.plan.binlogs.stop : restored?.binlog
  return endSpans(advanceEstimator(state, { type: 'phase', phase: event.phase }, event.atMs), () => true, {
    atMs: event.atMs,
    error: event.error,
    attributes: {
      result: event.status,
      'restore.attempts': state.attempt,
      ...(family && { 'db.system.name': family === 'xtrabackup' ? 'mysql' : 'mariadb' }),
      ...(point && { 'restore.recovery.point': point }),
      ...(end?.file && { 'restore.binlog.file': end.file }),
      ...(end?.position && { 'restore.binlog.position': end.position }),
    },
  })
}

export interface RestoreIdentity {
  restoreId: string
  agentPid: number
  bootId: string
  options: RestoreOptions
  /** Its name in serve.yaml. */
  backup?: string | null
  earlier?: RestoreState['earlier']
  trace: TraceIdentity
  /** The parent of an unsampled TRACEPARENT, linked instead of joined. */
  link: SpanLink | null
  /** The plan in short, for the spans `restore` and `restore outcome`. */
  attributes: Readonly<Record<string, AttributeValue>>
  /** Spans that an ended restore left in the state dir. */
  unsentSpans?: RestoreState['unsentSpans']
}

/**
 * A restore's first state. The root span has ended, 1 ms long, so that the trace has a root from its first second; its
 * child `restore outcome` is open until the restore ends.
 */
export function initialState(identity: RestoreIdentity, atMs: number): RestoreState {
  const blank = stateSchema.parse({
    schema: SCHEMA,
    status: 'running',
    phase: 'getting_backup_info',
    restoreId: identity.restoreId,
    agentPid: identity.agentPid,
    bootId: identity.bootId,
    options: identity.options,
    backup: identity.backup,
    earlier: identity.earlier,
    trace: identity.trace,
    unsentSpans: identity.unsentSpans ?? [],
    startedAtMs: atMs,
    updatedAtMs: atMs,
    phaseStartedAtMs: atMs,
    progressMark: { atMs },
  })
  const attributes = { 'restore.id': identity.restoreId, ...identity.attributes }
  const links = identity.link ? [identity.link] : []
  const root = { kind: 'restore', name: 'restore', atMs, endedAtMs: atMs + 1, attributes, links } as const
  const begun = addEndedSpan(blank, root)
  const parent = begun.endedSpans[0]
  return keepUnsent(openSpan(begun, { kind: 'outcome', name: 'restore outcome', atMs, attributes, parent }))
}

/**
 * Another agent takes over. With adopted tools all open spans stay open. Otherwise every span but the root ends as
 * interrupted, at the time when the dead agent wrote its last state.
 */
export function resume(before: RestoreState, event: EventOf<'resumed'>): RestoreState {
  const state: RestoreState = {
    ...before,
    ...withOptions(before, event),
    agentPid: event.agentPid,
    bootId: event.bootId,
    resumeLink: event.link,
    trace: { ...before.trace, idPrefix: event.idPrefix, nextId: 1 },
    counters: {
      lines: {},
      linesDropped: {},
      ioReadBytes: {},
      ioWriteBytes: {},
      cpuSeconds: {},
      sourceRetries: {},
      transactions: 0,
      attempts: 0,
    },
  }
  // Time without an agent is not a stall of the tools.
  const pausedMs = Math.max(0, event.atMs - event.lastSeenAtMs)
  if (event.adopted) return advanceEstimator(state, { type: 'tick', pausedMs }, event.atMs)
  const { hint } = ERRORS.interrupted
  const error = { code: 'interrupted', message: `agent ${before.agentPid} died`, lastWords: [], hint } as const
  const alone = { ...state, tools: [], interruptions: before.interruptions + 1 }
  return endSpans(alone, span => span.kind !== 'outcome', {
    atMs: event.lastSeenAtMs,
    error,
    attributes: { 'restore.agent.pid': before.agentPid },
  })
}

/** What depends on options: values derived from the earlier ones are dropped. */
const withOptions = (
  before: RestoreState,
  { options, plan, runs, cleanup }: EventOf<'resumed'>,
): Partial<RestoreState> => ({
  options,
  plan,
  runs,
  cleanup,
  estimator: { ...before.estimator, thresholds: stallThresholds(options) },
  memoryCapBytes: options.memory === before.options.memory ? before.memoryCapBytes : null,
  ...(plan === null && before.plan !== null && { chainLength: 0, cleanup: emptyLedger() }),
})
