import type { ErrorRecord } from '../../errors.ts'
import { type Phase, STEPS, type Step } from '../../phases.ts'
import { advanceProgress, viewProgress } from '../../progress/estimator.ts'
import type { ProgressInput } from '../../progress/progress.ts'
import { factsOf } from '../plan/plan.ts'
import type { AttributeValue, EndedSpan, EventOf, OpenSpan, RestoreState, SourceBytes, SpanKind } from './state.ts'

/**
 * Open spans are a stack in the state: restore outcome, attempt, phase, step, and the tools beside the step. Until they
 * end they are plain data, so a killed agent loses none: the next one ends them with the same ids.
 */
type Attributes = Readonly<Record<string, AttributeValue>>

interface NewSpan {
  kind: SpanKind
  name: string
  atMs: number
  attributes?: Attributes
  links?: OpenSpan['links']
  /** Given by the caller if others must know it before the span opens. */
  id?: string
  /** Its parent; the root by default. The root's parent is the caller's span, or none. */
  parent?: OpenSpan | undefined
}

export const openSpanOf = (state: RestoreState, kind: SpanKind): OpenSpan | undefined =>
  state.spans.findLast(span => span.kind === kind)

/** The open phase span of an element. While an element is prefetched, two phases are open. */
export const phaseSpanOf = ({ spans }: Pick<RestoreState, 'spans'>, position: number): OpenSpan | undefined =>
  spans.findLast(span => span.kind === 'phase' && span.attributes['restore.chain.position'] === position)

/** A new id from this agent's random prefix and a counter; no randomness here, so the reducer stays pure. */
const takeId = (state: RestoreState): [string, RestoreState] => {
  const id = state.trace.idPrefix + state.trace.nextId.toString(16).padStart(8, '0')
  return [id, { ...state, trace: { ...state.trace, nextId: state.trace.nextId + 1 } }]
}

export function openSpan(before: RestoreState, span: NewSpan): RestoreState {
  const [id, state] = span.id ? ([span.id, before] as const) : takeId(before)
  const open: OpenSpan = {
    id,
    parentId: span.parent?.id ?? openSpanOf(state, 'outcome')?.parentId ?? state.trace.parentSpanId,
    kind: span.kind,
    name: span.name,
    startedAtMs: span.atMs,
    attributes: span.attributes ?? {},
    links: span.links ?? [],
  }
  return { ...state, spans: [...state.spans, open] }
}

/** A span that begins and ends in the past or at once. */
export function addEndedSpan(
  before: RestoreState,
  { endedAtMs, error = null, ...span }: NewSpan & Pick<EndedSpan, 'endedAtMs'> & Partial<Pick<EndedSpan, 'error'>>,
): RestoreState {
  const opened = openSpan(before, span)
  const last = opened.spans.at(-1)!
  return {
    ...opened,
    spans: before.spans,
    endedSpans: [...before.endedSpans, { ...last, endedAtMs, error }],
  }
}

/**
 * A restore has about a hundred spans, and one for each binlog. Beyond this number, with a backend that is away for
 * long, the oldest are dropped.
 */
const MAX_UNSENT = 500

/**
 * Keeps the spans that just ended until a backend acknowledges their export, so that a kill loses none. A trace that is
 * not sampled has none to send.
 */
export function keepUnsent(state: RestoreState): RestoreState {
  const { trace, endedSpans, unsentSpans } = state
  if (endedSpans.length === 0 || (trace.flags & 1) === 0) return state
  const { traceId, flags, traceState, parentSpanId } = trace
  const added = endedSpans.map(span => ({ ...span, trace: { traceId, flags, traceState, parentSpanId } }))
  return { ...state, unsentSpans: [...unsentSpans, ...added].slice(-MAX_UNSENT) }
}

export const withoutSent = (state: RestoreState, ids: readonly string[]): RestoreState => ({
  ...state,
  unsentSpans: state.unsentSpans.filter(({ id }) => !ids.includes(id)),
})

/**
 * Ends every open span that `which` picks, innermost first. Times never run backwards: an end is at least its start.
 */
export function endSpans(
  state: RestoreState,
  which: (span: OpenSpan) => boolean,
  end: { atMs: number; error?: ErrorRecord | null; attributes?: Attributes },
): RestoreState {
  const ending = state.spans.filter(which).reverse()
  if (ending.length === 0) return state
  const error = end.error ? { code: end.error.code, message: end.error.message } : null
  const ended = ending.map(span => ({
    ...span,
    attributes: { ...span.attributes, ...end.attributes },
    endedAtMs: Math.max(end.atMs, span.startedAtMs),
    error,
  }))
  return {
    ...state,
    spans: state.spans.filter(span => !which(span)),
    endedSpans: [...state.endedSpans, ...ended],
  }
}

const known = (values: Record<string, AttributeValue | null>): Attributes =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, AttributeValue] => entry[1] !== null))

/** Attributes of a phase span: bytes or LSNs. */
export function phaseAttributes({ phase, source, redo }: RestoreState): Attributes {
  if (phase === 'restoring_basebackup') return sourceAttributes(source)
  if (phase !== 'preparing_backup') return {}
  return known({
    'restore.prepare.redo.scanned': redo.scannedLsn,
    'restore.prepare.redo.applied': redo.appliedLsn,
    'restore.prepare.redo.target': redo.targetLsn,
  })
}

/** Attributes for the bytes read of the current or the prefetched element. */
export const sourceAttributes = (source: SourceBytes | null): Attributes =>
  source === null ? {} : known({ 'restore.source.read': source.readBytes, 'restore.source.size': source.totalBytes })

/** Steps whose count of files means something: tools also name files that they copy at shutdown. */
const FILE_STEPS: readonly Step[] = ['delta_apply', 'move_back']

/** Attributes of a step span. */
export function stepAttributes({ step, work, redo }: RestoreState): Attributes {
  return known({
    'restore.step.pages': work.pages || null,
    'restore.step.rows': work.rows || null,
    'restore.step.files': step !== null && FILE_STEPS.includes(step) ? work.files || null : null,
    'restore.prepare.redo.scanned': step === 'redo_scan' ? redo.scannedLsn : null,
    'restore.prepare.redo.applied': step === 'redo_apply' ? redo.appliedLsn : null,
  })
}

/** The part of the reducer for phases, steps and progress within them. */

export function startPhase(before: RestoreState, event: EventOf<'phase_started'>): RestoreState {
  const { phase, position, atMs } = event
  const newElement = position !== before.position && position > 0 && before.plan !== null
  const state: RestoreState = {
    ...before,
    phase,
    phaseStartedAtMs: atMs,
    position,
    step: null,
    work: { pages: 0, rows: 0, files: 0 },
    progressMark: { atMs, percent: null },
  }
  const current = newElement ? startElement(state, position, atMs) : state
  return openPhaseSpan(advanceEstimator(current, { type: 'phase', phase }, atMs), phase, position, atMs)
}

/** A prefetched element keeps the count of bytes read so far. */
function startElement(before: RestoreState, position: number, atMs: number): RestoreState {
  const prefetched = before.prefetched?.position === position ? before.prefetched : null
  const planned = factsOf(before.plan!, position)
  const facts = { ...planned, sourceBytes: prefetched?.totalBytes ?? planned.sourceBytes }
  return {
    ...advanceEstimator(before, { type: 'element', position, facts }, atMs),
    source: { readBytes: prefetched?.readBytes ?? null, totalBytes: facts.sourceBytes },
    prefetched: prefetched ? null : before.prefetched,
    redo: { scannedLsn: null, appliedLsn: null, targetLsn: facts.lastLsn },
    rollbackRows: null,
  }
}

/**
 * Opens the span of a phase unless it is open: a prefetched element becomes the current one in the middle of its phase.
 */
export function openPhaseSpan(state: RestoreState, phase: Phase, position: number, atMs: number): RestoreState {
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

export function endPhase(before: RestoreState, event: EventOf<'phase_ended'>): RestoreState {
  const { atMs, error } = event
  const passed =
    error === null ? followProgress(before, advanceEstimator(before, { type: 'passed' }, atMs), atMs) : before
  let state = endStep(passed, atMs, error)
  if (error === null) state = addProgressSpan(state, atMs)
  return endPhaseSpans({ ...state, step: null }, state.position, event)
}

/** Ends the phase span of an element and all spans under it. */
export function endPhaseSpans(
  state: RestoreState,
  position: number,
  end: { atMs: number; error: ErrorRecord | null },
): RestoreState {
  const phase = phaseSpanOf(state, position)
  if (!phase) return state
  const isUnder = (id: string | null): boolean =>
    id !== null && (id === phase.id || isUnder(state.spans.find(span => span.id === id)?.parentId ?? null))
  const ended = endSpans(state, span => span.id !== phase.id && isUnder(span.id), end)
  const attributes =
    position === state.position
      ? phaseAttributes(state)
      : sourceAttributes(state.prefetched?.position === position ? state.prefetched : null)
  return endSpans(ended, span => span.id === phase.id, { ...end, attributes })
}

export function startStep(before: RestoreState, step: Step, atMs: number): RestoreState {
  if (before.step === step) return before
  const state = endStep(before, atMs, null)
  return openSpan(
    // Work counted before the first step was recognised belongs to that step: it came in the same lines.
    { ...state, step, work: before.step === null ? state.work : { pages: 0, rows: 0, files: 0 } },
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

/**
 * Updates the progress that all observers read, and the spans that follow from it: steps that the estimator recognised,
 * and progress spans.
 */
export function followProgress(before: RestoreState, after: RestoreState, atMs: number): RestoreState {
  if (after.estimator === before.estimator && after.phase === before.phase && !isTick(before, after)) return after
  const progress = viewProgress(after.estimator, atMs)
  let state: RestoreState = { ...after, progress }
  if (state.status !== 'running') return state
  // Between two phases the estimator still reports the last step of the ended one.
  const isOpen = phaseSpanOf(state, state.position)?.name === state.phase
  if (isOpen && progress.step !== null && progress.step !== state.step && stepsOf(state.phase).includes(progress.step))
    state = startStep(state, progress.step, atMs)
  return progressSpanIsDue(state, atMs) ? addProgressSpan(state, atMs) : state
}

/** A tick leaves the estimator as it is, but changes what it says about quiet and stall. */
const isTick = (before: RestoreState, after: RestoreState): boolean => after.updatedAtMs > before.updatedAtMs

const stepsOf = (phase: Phase): readonly Step[] => (phase in STEPS ? STEPS[phase as keyof typeof STEPS] : [])

/** A span every 10 %, and every 5 minutes where that takes longer. */
const EVERY_PERCENT = 10
const EVERY_MS = 5 * 60_000

export function progressSpanIsDue({ progress, progressMark, position, spans }: RestoreState, atMs: number): boolean {
  if (progress.phasePercent === null || !phaseSpanOf({ spans }, position)) return false
  const tens = Math.floor(progress.phasePercent / EVERY_PERCENT)
  const marked = Math.floor((progressMark.percent ?? 0) / EVERY_PERCENT)
  return tens > marked || atMs - progressMark.atMs >= EVERY_MS
}

/** From the end of the span before it to now: together they cover the phase without a gap. */
export function addProgressSpan(state: RestoreState, atMs: number): RestoreState {
  const { percent, atMs: fromMs } = state.progressMark
  const to = state.progress.phasePercent
  const phase = phaseSpanOf(state, state.position)
  if (to === null || to === percent || !phase) return state
  const added = addEndedSpan(state, {
    kind: 'progress',
    name: 'progress',
    parent: phase,
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

/**
 * One span for each binlog: that of the file that is being applied is open. Files that were passed between two readings
 * of the server's position have that time in common.
 */
export function followBinlogs(before: RestoreState['binlogs'], after: RestoreState, atMs: number): RestoreState {
  const phase = phaseSpanOf(after, after.position)
  const files = after.plan?.binlogs?.files
  if (!phase || !files) return after
  const open = openSpanOf(after, 'binlog')
  const index = fileAt(files, after.binlogs.appliedBytes ?? 0)
  const first = open
    ? files.findIndex(({ name }) => name === open.attributes['restore.binlog.file'])
    : fileAt(files, before.appliedBytes ?? 0)
  // A server that was killed may begin a little before the position that was read last.
  if (open && index <= first) return after
  const sinceMs = Math.max(before.readAtMs ?? 0, phase.startedAtMs)
  let state = after
  const spanOf = ({ name }: (typeof files)[number]) => ({
    kind: 'binlog' as const,
    name: 'binlog apply',
    parent: phase,
    attributes: { 'restore.phase': after.phase, 'restore.binlog.file': name },
  })
  for (const [passed, file] of files.slice(0, index).entries()) {
    if (passed < first) continue
    const attributes = {
      'restore.binlog.transactions': file.transactions,
      'restore.binlog.bytes': file.to - file.from,
    }
    if (passed === first && open) {
      state = endSpans(state, ({ id }) => id === open.id, { atMs, attributes })
      continue
    }
    const span = spanOf(file)
    state = addEndedSpan(state, {
      ...span,
      attributes: { ...span.attributes, ...attributes },
      atMs: sinceMs,
      endedAtMs: atMs,
    })
  }
  const current = files[index]
  return current ? openSpan(state, { ...spanOf(current), atMs: sinceMs }) : state
}

/** Index of the file of which not all is applied; the number of files where all is. */
function fileAt(files: readonly { from: number; to: number }[], appliedBytes: number): number {
  let end = 0
  const index = files.findIndex(({ from, to }) => {
    end += to - from
    return end > appliedBytes
  })
  return index === -1 ? files.length : index
}

/** Gives the estimator one input. */
export const advanceEstimator = (state: RestoreState, input: ProgressInput, atMs: number): RestoreState => ({
  ...state,
  estimator: advanceProgress(state.estimator, input, atMs),
})
