import type { ErrorRecord } from '../errors.ts'
import { type Phase, STEPS, type Step } from '../phases.ts'
import { advanceProgress, viewProgress } from '../progress/estimator.ts'
import type { ProgressInput } from '../progress/progress.ts'
import { factsOf } from './facts.ts'
import { addProgressSpan, progressSpanIsDue } from './progress-spans.ts'
import { readToolEvents } from './read-tool-events.ts'
import { resume } from './resume.ts'
import { phaseAttributes, stepAttributes } from './span-attributes.ts'
import { endSpans, openSpan, openSpanOf, phaseSpanOf } from './spans.ts'
import type { Counters, RestoreEvent, RestoreState } from './state.ts'

/**
 * The only place where a restore's state changes: (state, event) -> state. Pure.
 *
 * Every event first reaches the estimator as its own kind of input, then the state's fields, then the spans that begin or
 * end because of it. Spans that ended stand in `endedSpans` of exactly one state.
 */
export function reduce(before: RestoreState, event: RestoreEvent): RestoreState {
  // A clock that was set back must not end a span before it began.
  const atMs = Math.max(before.updatedAtMs, event.atMs)
  const fresh: RestoreState = { ...before, endedSpans: [], updatedAtMs: atMs }
  return followProgress(before, apply(fresh, { ...event, atMs }), atMs)
}

type EventOf<T extends RestoreEvent['type']> = Extract<RestoreEvent, { type: T }>

function apply(state: RestoreState, event: RestoreEvent): RestoreState {
  switch (event.type) {
    case 'restore_started':
      return state
    case 'attempt_started':
      return startAttempt(state, event.atMs)
    case 'attempt_ended':
      return endSpans({ ...state, tools: [] }, span => span.kind !== 'restore', {
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
      return openPhaseSpan(state, 'restoring_basebackup', event.position, event.atMs)
    case 'prefetch_ended':
      return endPhaseSpans(state, event.position, event)
    case 'step_started':
      return startStep(feed(state, { type: 'step', step: event.step }, event.atMs), event.step, event.atMs)
    case 'tool_started':
      return startTool(state, event)
    case 'tool_ended':
      return endTool(state, event)
    case 'tool_lines':
      return readLines(state, event)
    case 'sample':
      return takeSample(state, event)
    case 'run_begun':
      return { ...state, begun: [...without(state.begun, [event.label]), event.label] }
    case 'run_finished':
      return {
        ...state,
        finished: [...without(state.finished, [event.label]), event.label],
        tools: state.tools.filter(tool => tool.label !== event.label),
      }
    case 'runs_undone':
      return {
        ...state,
        begun: without(state.begun, event.labels),
        finished: without(state.finished, event.labels),
        tools: state.tools.filter(tool => !event.labels.includes(tool.label)),
      }
    case 'made':
      return { ...state, made: event.made }
    case 'failed_attempt':
      return { ...state, failures: state.failures + 1, memoryCapBytes: event.memoryCapBytes }
    case 'fell_back':
      return {
        ...state,
        backupIndex: event.backupIndex,
        plan: null,
        begun: [],
        finished: [],
        failures: 0,
        chainLength: 0,
      }
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

const without = (labels: readonly string[], gone: readonly string[]) => labels.filter(label => !gone.includes(label))

const feed = (state: RestoreState, input: ProgressInput, atMs: number): RestoreState => ({
  ...state,
  estimator: advanceProgress(state.estimator, input, atMs),
})

function startAttempt(state: RestoreState, atMs: number): RestoreState {
  const attempt = state.attempt + 1
  const previous = state.lastAttemptSpanId
  const opened = openSpan(feed(state, { type: 'restart', elements: Math.max(1, state.chainLength) }, atMs), {
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
  if (state.position === 0) return planned
  const facts = factsOf(event.plan, state.position)
  return feed({ ...planned, redo: { ...state.redo, targetLsn: facts.lastLsn } }, { type: 'facts', facts }, event.atMs)
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
  return openPhaseSpan(feed(state, { type: 'phase', phase }, atMs), phase, position, atMs)
}

/** Opens the span of a phase, unless it is open: an element fetched ahead comes to the front in mid-phase. */
function openPhaseSpan(state: RestoreState, phase: Phase, position: number, atMs: number): RestoreState {
  if (phaseSpanOf(state, position)?.name === phase) return state
  const element = state.plan?.elements[position - 1]
  return openSpan(state, {
    kind: 'phase',
    name: phase,
    atMs,
    parent: openSpanOf(state, 'attempt'),
    attributes: {
      'restore.phase': phase,
      'restore.chain.position': position,
      ...(element && { 'restore.backup': element.name }),
    },
  })
}

function endPhase(before: RestoreState, event: EventOf<'phase_ended'>): RestoreState {
  const { atMs, error } = event
  const passed = error === null ? followProgress(before, feed(before, { type: 'passed' }, atMs), atMs) : before
  let state = endStep(passed, atMs, error)
  if (error === null) state = addProgressSpan(state, atMs)
  return endPhaseSpans({ ...state, step: null }, state.position, event)
}

/** Ends the phase span of an element, and whatever hangs under it. */
function endPhaseSpans(
  state: RestoreState,
  position: number,
  end: { atMs: number; error: ErrorRecord | null },
): RestoreState {
  const phase = phaseSpanOf(state, position)
  if (!phase) return state
  const isUnder = (id: string | null): boolean =>
    id !== null && (id === phase.id || isUnder(state.spans.find(span => span.id === id)?.parentId ?? null))
  const ended = endSpans(state, span => span.id !== phase.id && isUnder(span.id), end)
  const attributes = position === state.position ? phaseAttributes(state) : {}
  return endSpans(ended, span => span.id === phase.id, { ...end, attributes })
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
      parent: phaseSpanOf(state, state.position),
      attributes: { 'restore.phase': state.phase, 'restore.step': step },
    },
  )
}

const endStep = (state: RestoreState, atMs: number, error: ErrorRecord | null): RestoreState =>
  endSpans(state, span => span.kind === 'step', { atMs, error, attributes: stepAttributes(state) })

function startTool(state: RestoreState, { tool, position, attributes, atMs }: EventOf<'tool_started'>): RestoreState {
  const step = position === state.position ? openSpanOf(state, 'step') : undefined
  return openSpan(
    { ...state, tools: [...state.tools, tool] },
    {
      kind: 'tool',
      name: tool.name,
      atMs,
      attributes,
      id: tool.spanId,
      parent: step ?? phaseSpanOf(state, position) ?? openSpanOf(state, 'attempt'),
    },
  )
}

function endTool(state: RestoreState, event: EventOf<'tool_ended'>): RestoreState {
  const { id, exitCode: code, signal, atMs, error } = event
  const tool = state.tools.find(running => running.id === id)
  if (!tool) return state
  const exit = { code, signal } as RestoreState['tools'][number]['exit']
  return endSpans(
    { ...state, tools: state.tools.map(running => (running === tool ? { ...tool, exit } : running)) },
    span => span.id === tool.spanId,
    {
      atMs,
      error,
      attributes: {
        ...(code !== null && { 'process.exit.code': code }),
        ...(signal !== null && { 'process.exit.signal': signal }),
      },
    },
  )
}

function readLines(before: RestoreState, event: EventOf<'tool_lines'>): RestoreState {
  const inFront = event.position === before.position
  let state = inFront ? readToolEvents(before, event.events) : before
  if (inFront) for (const toolEvent of event.events) state = feed(state, { type: 'tool', event: toolEvent }, event.atMs)
  return {
    ...state,
    tools: state.tools.map(tool => (tool.id === event.id ? { ...tool, readOffset: event.readOffset } : tool)),
    counters: {
      ...state.counters,
      lines: add(state.counters.lines, state.phase, event.count),
      linesDropped: add(state.counters.linesDropped, state.phase, event.dropped),
    },
  }
}

const add = (counts: Counters['lines'], phase: Phase, more: number | null): Counters['lines'] =>
  more === null || more <= 0 ? counts : { ...counts, [phase]: (counts[phase] ?? 0) + more }

function takeSample(before: RestoreState, event: EventOf<'sample'>): RestoreState {
  const { phase, counters } = before
  const state = {
    ...before,
    counters: {
      ...counters,
      ioReadBytes: add(counters.ioReadBytes, phase, event.delta.readBytes),
      ioWriteBytes: add(counters.ioWriteBytes, phase, event.delta.writeBytes),
      cpuSeconds: add(counters.cpuSeconds, phase, event.delta.cpuSeconds),
    },
  }
  if (event.position !== state.position) return state
  const fed = feed(state, { type: 'sample', sample: event.sample, lines: event.lines }, event.atMs)
  if (event.sourceReadBytes === null) return fed
  return feed(
    { ...fed, source: { ...fed.source, readBytes: event.sourceReadBytes } },
    { type: 'source', readBytes: event.sourceReadBytes },
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
  }
  const family = state.plan?.tool.family
  return endSpans(feed(state, { type: 'phase', phase: event.phase }, event.atMs), () => true, {
    atMs: event.atMs,
    error: event.error,
    attributes: {
      result: event.status,
      'restore.attempts': state.attempt,
      ...(family && { 'db.system.name': family === 'xtrabackup' ? 'mysql' : 'mariadb' }),
    },
  })
}

/** The view everybody reads, and the spans that follow from it: steps the estimator saw begin, and progress spans. */
function followProgress(before: RestoreState, after: RestoreState, atMs: number): RestoreState {
  if (after.estimator === before.estimator && after.phase === before.phase && !isTick(before, after)) return after
  const progress = viewProgress(after.estimator, atMs)
  let state: RestoreState = { ...after, progress }
  if (state.status !== 'running') return state
  if (progress.step !== null && progress.step !== state.step && stepsOf(state.phase).includes(progress.step))
    state = startStep(state, progress.step, atMs)
  return progressSpanIsDue(state, atMs) ? addProgressSpan(state, atMs) : state
}

/** A tick changes no estimator, but what it says of quiet and stall. */
const isTick = (before: RestoreState, after: RestoreState): boolean => after.updatedAtMs > before.updatedAtMs

const stepsOf = (phase: Phase): readonly Step[] => (phase in STEPS ? STEPS[phase as keyof typeof STEPS] : [])
