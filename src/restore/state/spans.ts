import type { ErrorRecord } from '../../errors.ts'
import type { Step } from '../../phases.ts'
import type { AttributeValue, OpenSpan, RestoreState, SourceBytes, SpanKind } from './state.ts'

/**
 * Open spans are a stack in the state: restore outcome, attempt, phase, step, and the tools beside the step. They are
 * data until they end, so a killed agent loses none: the next one ends them with the same ids.
 */
type Attributes = Readonly<Record<string, AttributeValue>>

interface NewSpan {
  kind: SpanKind
  name: string
  atMs: number
  attributes?: Attributes
  links?: OpenSpan['links']
  /** Chosen by the caller where others must know it first. */
  id?: string
  /** Its parent; the root by default. The root's parent is the caller's span, or none. */
  parent?: OpenSpan | undefined
}

export const openSpanOf = (state: RestoreState, kind: SpanKind): OpenSpan | undefined =>
  state.spans.findLast(span => span.kind === kind)

/** The open phase of an element: with an element fetched ahead, two phases are open. */
export const phaseSpanOf = ({ spans }: Pick<RestoreState, 'spans'>, position: number): OpenSpan | undefined =>
  spans.findLast(span => span.kind === 'phase' && span.attributes['restore.chain.position'] === position)

/** A new id: this agent's random prefix and a counter, so that the reducer stays pure. */
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
export function addEndedSpan(before: RestoreState, span: NewSpan & { endedAtMs: number }): RestoreState {
  const opened = openSpan(before, span)
  const last = opened.spans.at(-1)!
  return {
    ...opened,
    spans: before.spans,
    endedSpans: [...before.endedSpans, { ...last, endedAtMs: span.endedAtMs, error: null }],
  }
}

/**
 * A restore has about a hundred spans. Beyond this number, with a backend that is away for long, the oldest are
 * dropped.
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

/** What the phase moved. */
export function phaseAttributes({ phase, source, redo }: RestoreState): Attributes {
  if (phase === 'restoring_basebackup') return sourceAttributes(source)
  if (phase !== 'preparing_backup') return {}
  return known({
    'restore.prepare.redo.scanned': redo.scannedLsn,
    'restore.prepare.redo.applied': redo.appliedLsn,
    'restore.prepare.redo.target': redo.targetLsn,
  })
}

/** What was read of the current or the prefetched element. */
export const sourceAttributes = (source: SourceBytes | null): Attributes =>
  source === null ? {} : known({ 'restore.source.read': source.readBytes, 'restore.source.size': source.totalBytes })

/** Tools name files between the steps too: those they copy when the database is shut down. */
const FILE_STEPS: readonly Step[] = ['delta_apply', 'move_back']

/** What the step did. */
export function stepAttributes({ step, work, redo }: RestoreState): Attributes {
  return known({
    'restore.step.pages': work.pages || null,
    'restore.step.rows': work.rows || null,
    'restore.step.files': step !== null && FILE_STEPS.includes(step) ? work.files || null : null,
    'restore.prepare.redo.scanned': step === 'redo_scan' ? redo.scannedLsn : null,
    'restore.prepare.redo.applied': step === 'redo_apply' ? redo.appliedLsn : null,
  })
}
