import { type Phase, STEPS, type Step } from '../phases.ts'
import { advanceProgress, viewProgress } from '../progress/estimator.ts'
import type { ProgressInput } from '../progress/progress.ts'
import { factsOf } from './facts.ts'
import { readToolEvents } from './read-tool-events.ts'
import { addEndedSpan, endSpans, openSpan, openSpanOf } from './spans.ts'
import type { AttributeValue, Counters, RestoreEvent, RestoreState } from './state.ts'

/**
 * The only place where a restore's state changes: (state, event) -> state. Pure.
 *
 * Every event first reaches the estimator as its own kind of input, then the state's fields, then the spans that begin or
 * end because of it. Spans that ended stand in `endedSpans` of exactly one state.
 */
export function reduce(before: RestoreState, event: RestoreEvent): RestoreState {
  const fresh: RestoreState = { ...before, endedSpans: [], updatedAtMs: Math.max(before.updatedAtMs, event.atMs) }
  return followProgress(before, apply(fresh, event), event.atMs)
}

function apply(state: RestoreState, event: RestoreEvent): RestoreState {
  switch (event.type) {
    case 'restore_started':
      return state
    case 'attempt_started':
      return startAttempt(state, event.atMs)
    case 'attempt_ended':
      return endSpans(state, span => span.kind !== 'restore', { atMs: event.atMs, error: event.error })
    case 'planned':
      return adoptPlan(state, event)
    case 'phase_started':
      return startPhase(state, event)
    case 'phase_ended':
      return endPhase(state, event)
    case 'step_started':
      return startStep(feed(state, { type: 'step', step: event.step }, event.atMs), event.step, event.atMs)
    case 'tool_started':
      return openSpan(
        { ...state, tools: [...state.tools, event.tool] },
        { kind: 'tool', name: event.tool.name, atMs: event.atMs, attributes: event.attributes, id: event.tool.spanId },
      )
    case 'tool_ended':
      return endTool(state, event)
    case 'tool_lines':
      return readLines(state, event)
    case 'sample':
      return takeSample(state, event)
    case 'source_size':
      return feed(
        { ...state, source: { ...state.source, totalBytes: event.bytes } },
        { type: 'facts', facts: { sourceBytes: event.bytes } },
        event.atMs,
      )
    case 'progress':
      return feed(state, event.input, event.atMs)
    case 'notice':
      return { ...state, notices: [...state.notices, event.text].slice(-20) }
    case 'tick':
      return feed(state, { type: 'tick' }, event.atMs)
    case 'resumed':
      return resume(state, event)
    case 'ended':
      return end(state, event)
  }
}

type EventOf<T extends RestoreEvent['type']> = Extract<RestoreEvent, { type: T }>

const feed = (state: RestoreState, input: ProgressInput, atMs: number): RestoreState => ({
  ...state,
  estimator: advanceProgress(state.estimator, input, atMs),
})

function startAttempt(state: RestoreState, atMs: number): RestoreState {
  const attempt = state.attempt + 1
  const previous = state.lastAttemptSpanId
  const opened = openSpan(feed(state, { type: 'restart', elements: state.chainLength }, atMs), {
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
    position: 0,
    error: null,
    step: null,
    resumeLink: null,
    lastAttemptSpanId: openSpanOf(opened, 'attempt')!.id,
    source: { readBytes: null, totalBytes: null },
    redo: { scannedLsn: null, appliedLsn: null, targetLsn: null },
    rollbackRows: null,
    counters: { ...opened.counters, attempts: opened.counters.attempts + 1 },
  }
}

/** A plan comes twice: before anything is written, and after each extract, when the metadata has told the rest. */
function adoptPlan(state: RestoreState, event: EventOf<'planned'>): RestoreState {
  const planned = { ...state, plan: event.plan, chainLength: event.plan.elements.length }
  if (state.plan === null || state.plan.elements.length !== event.plan.elements.length)
    return feed(planned, { type: 'restart', elements: event.plan.elements.length }, event.atMs)
  return state.position === 0
    ? planned
    : feed(planned, { type: 'facts', facts: factsOf(event.plan, state.position) }, event.atMs)
}

function startPhase(before: RestoreState, event: EventOf<'phase_started'>): RestoreState {
  const { phase, position, atMs } = event
  const newElement = position !== before.position && position > 0 && before.plan !== null
  let state: RestoreState = {
    ...before,
    phase,
    phaseStartedAtMs: atMs,
    position,
    step: null,
    work: { pages: 0, rows: 0, files: 0 },
    progressMark: { atMs, percent: null },
  }
  if (newElement) {
    const facts = factsOf(before.plan!, position)
    state = feed(state, { type: 'element', position, facts }, atMs)
    state.source = { readBytes: null, totalBytes: facts.sourceBytes }
    state.redo = { scannedLsn: null, appliedLsn: null, targetLsn: facts.lastLsn }
    state.rollbackRows = null
  }
  const element = before.plan?.elements[position - 1]
  return openSpan(feed(state, { type: 'phase', phase }, atMs), {
    kind: 'phase',
    name: phase,
    atMs,
    parent: 'attempt',
    attributes: {
      'restore.phase': phase,
      ...(element && { 'restore.backup': element.name, 'restore.chain.position': position }),
    },
  })
}

function endPhase(before: RestoreState, event: EventOf<'phase_ended'>): RestoreState {
  const { atMs, error } = event
  const passed = error === null ? followProgress(before, feed(before, { type: 'passed' }, atMs), atMs) : before
  let state = endStep(passed, atMs, error)
  if (error === null) state = addProgressSpan(state, atMs)
  return endSpans({ ...state, step: null }, span => span.kind === 'phase' || span.kind === 'tool', {
    atMs,
    error,
    attributes: { ...phaseAttributes(state), ...event.attributes },
  })
}

/** What the phase moved, for its span. */
function phaseAttributes({ phase, source, redo }: RestoreState): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {}
  const add = (name: string, value: number | null) => {
    if (value !== null) attributes[name] = value
  }
  if (phase === 'restoring_basebackup') {
    add('restore.source.read', source.readBytes)
    add('restore.source.size', source.totalBytes)
  }
  if (phase === 'preparing_backup') {
    add('restore.prepare.redo.scanned', redo.scannedLsn)
    add('restore.prepare.redo.applied', redo.appliedLsn)
    add('restore.prepare.redo.target', redo.targetLsn)
  }
  return attributes
}

function startStep(before: RestoreState, step: Step, atMs: number): RestoreState {
  if (before.step === step) return before
  const state = endStep(before, atMs, null)
  return openSpan(
    { ...state, step, work: { pages: 0, rows: 0, files: 0 } },
    {
      kind: 'step',
      name: step,
      atMs,
      parent: 'phase',
      attributes: { 'restore.phase': state.phase, 'restore.step': step },
    },
  )
}

function endStep(state: RestoreState, atMs: number, error: EventOf<'phase_ended'>['error']): RestoreState {
  const { pages, rows, files } = state.work
  const { scannedLsn, appliedLsn } = state.redo
  return endSpans(state, span => span.kind === 'step', {
    atMs,
    error,
    attributes: {
      ...(pages > 0 && { 'restore.step.pages': pages }),
      ...(rows > 0 && { 'restore.step.rows': rows }),
      ...(files > 0 && { 'restore.step.files': files }),
      ...(state.step === 'redo_scan' && scannedLsn !== null && { 'restore.prepare.redo.scanned': scannedLsn }),
      ...(state.step === 'redo_apply' && appliedLsn !== null && { 'restore.prepare.redo.applied': appliedLsn }),
    },
  })
}

function endTool(state: RestoreState, event: EventOf<'tool_ended'>): RestoreState {
  const tool = state.tools.find(running => running.id === event.id)
  if (!tool) return state
  return endSpans(
    { ...state, tools: state.tools.filter(running => running !== tool) },
    span => span.id === tool.spanId,
    {
      atMs: event.atMs,
      error: event.error,
      attributes: {
        ...(event.exitCode !== null && { 'process.exit.code': event.exitCode }),
        ...(event.signal !== null && { 'process.exit.signal': event.signal }),
      },
    },
  )
}

function readLines(before: RestoreState, event: EventOf<'tool_lines'>): RestoreState {
  let state = readToolEvents(before, event.events)
  const { estimator } = event.events.reduce(
    (fed, toolEvent) => feed(fed, { type: 'tool', event: toolEvent }, event.atMs),
    state,
  )
  state = { ...state, estimator }
  return {
    ...state,
    counters: {
      ...state.counters,
      lines: add(state.counters.lines, state.phase, event.count),
      linesDropped: add(state.counters.linesDropped, state.phase, event.dropped),
    },
  }
}

const add = (counts: Counters['lines'], phase: Phase, more: number | null): Counters['lines'] =>
  more === null || more <= 0 ? counts : { ...counts, [phase]: (counts[phase] ?? 0) + more }

function takeSample(state: RestoreState, event: EventOf<'sample'>): RestoreState {
  const { phase, counters } = state
  let fed = feed(state, { type: 'sample', sample: event.sample, lines: event.lines }, event.atMs)
  if (event.sourceReadBytes !== null) fed = feed(fed, { type: 'source', readBytes: event.sourceReadBytes }, event.atMs)
  return {
    ...fed,
    source: event.sourceReadBytes === null ? state.source : { ...state.source, readBytes: event.sourceReadBytes },
    counters: {
      ...counters,
      ioReadBytes: add(counters.ioReadBytes, phase, event.delta.readBytes),
      ioWriteBytes: add(counters.ioWriteBytes, phase, event.delta.writeBytes),
      cpuSeconds: add(counters.cpuSeconds, phase, event.delta.cpuSeconds),
    },
  }
}

function resume(state: RestoreState, event: EventOf<'resumed'>): RestoreState {
  return {
    ...state,
    agentPid: event.agentPid,
    resumeLink: event.link,
    trace: { ...state.trace, idPrefix: event.idPrefix, nextId: 1 },
  }
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
  }
  return endSpans(feed(state, { type: 'phase', phase: event.phase }, event.atMs), () => true, {
    atMs: event.atMs,
    error: event.error,
    attributes: { 'restore.result': event.status, 'restore.attempts': state.attempt },
  })
}

/** The view everybody reads, and the spans that follow from it: steps the estimator saw begin, and progress spans. */
function followProgress(before: RestoreState, after: RestoreState, atMs: number): RestoreState {
  if (after.estimator === before.estimator && after.phase === before.phase) return after
  const progress = viewProgress(after.estimator, atMs)
  let state: RestoreState = { ...after, progress }
  if (state.status !== 'running') return state
  if (progress.step !== null && progress.step !== state.step && stepsOf(state.phase).includes(progress.step))
    state = startStep(state, progress.step, atMs)
  return progressSpanIsDue(state, atMs) ? addProgressSpan(state, atMs) : state
}

const stepsOf = (phase: Phase): readonly Step[] => (phase in STEPS ? STEPS[phase as keyof typeof STEPS] : [])

const PROGRESS_SPAN_PERCENT = 10
const PROGRESS_SPAN_MS = 5 * 60_000

function progressSpanIsDue({ progress, progressMark, spans }: RestoreState, atMs: number): boolean {
  if (progress.phasePercent === null || !spans.some(span => span.kind === 'phase')) return false
  const tens = Math.floor(progress.phasePercent / PROGRESS_SPAN_PERCENT)
  const marked = Math.floor((progressMark.percent ?? 0) / PROGRESS_SPAN_PERCENT)
  return tens > marked || atMs - progressMark.atMs >= PROGRESS_SPAN_MS
}

function addProgressSpan(state: RestoreState, atMs: number): RestoreState {
  const { percent, atMs: fromMs } = state.progressMark
  const to = state.progress.phasePercent
  if (to === null || to === percent) return state
  const added = addEndedSpan(state, {
    kind: 'progress',
    name: 'progress',
    parent: 'phase',
    atMs: fromMs,
    endedAtMs: atMs,
    attributes: {
      'restore.phase': state.phase,
      'restore.progress.from': Math.floor(percent ?? 0),
      'restore.progress.to': Math.floor(to),
    },
  })
  return { ...added, progressMark: { atMs, percent: to } }
}
