import { type Attributes, type Logger, SeverityNumber } from '@opentelemetry/api'
import type { ErrorRecord } from '../errors.ts'
import type { EndedSpan, EventOf, RestoreEvent, RestoreState } from '../restore/state/state.ts'
import { scrubText } from '../secrets.ts'
import { scrubAttributes } from './spans.ts'
import { contextOf } from './trace-context.ts'

/** A log record of this restore. `spanId` is its span; null while none is open. */
export interface Entry {
  /** Absent for a tool's line. */
  eventName?: string
  severity: SeverityNumber
  body: string
  atMs: number
  spanId: string | null
  attributes?: Attributes
}

export type Emit = (state: RestoreState, entry: Entry) => void

const SEVERITY_TEXT: Partial<Record<SeverityNumber, string>> = {
  [SeverityNumber.DEBUG]: 'DEBUG',
  [SeverityNumber.INFO]: 'INFO',
  [SeverityNumber.WARN]: 'WARN',
  [SeverityNumber.ERROR]: 'ERROR',
}

export const emitTo =
  (logger: Logger): Emit =>
  (state, { eventName, severity, body, atMs, spanId, attributes }) =>
    logger.emit({
      ...(eventName && { eventName }),
      severityNumber: severity,
      severityText: SEVERITY_TEXT[severity]!,
      body: scrubText(body),
      timestamp: new Date(atMs),
      attributes: { 'restore.id': state.restoreId, ...attributes },
      context: contextOf(state.trace, spanId),
    })

/** One record for each change of the restore. Remembers the percent, stall and error of the last records. */
export function makeRestoreLog(emit: Emit): (state: RestoreState, event: RestoreEvent) => void {
  let loggedProgress = ''
  let stalled = false
  let loggedError = ''

  const logErrors = (state: RestoreState, event: RestoreEvent) => {
    if (event.type === 'attempt_started') loggedError = ''
    // Innermost first: the record belongs to the span that failed; the spans around it have only the status.
    for (const span of state.endedSpans) {
      const key = span.error && `${span.error.code} ${span.error.message}`
      // A request that failed was made again.
      if (!span.error || span.kind === 'request' || key === loggedError) continue
      loggedError = key!
      emit(state, {
        eventName: 'exception',
        severity: SeverityNumber.ERROR,
        body: `${span.name}: ${span.error.code}: ${span.error.message}`,
        atMs: event.atMs,
        spanId: span.id,
        attributes: exceptionOf(span.error),
      })
    }
  }

  const logProgress = (state: RestoreState, event: RestoreEvent) => {
    const { phasePercent, restorePercent } = state.progress
    if (state.status !== 'running' || phasePercent === null) return
    const [phase, whole] = [Math.floor(phasePercent), restorePercent === null ? null : Math.floor(restorePercent)]
    const now = `${state.phase} ${state.position} ${phase} ${whole}`
    if (now === loggedProgress) return
    loggedProgress = now
    emit(state, {
      eventName: 'restore.progress',
      severity: SeverityNumber.INFO,
      body: `${state.phase} ${phase} %`,
      atMs: event.atMs,
      spanId: innermostOf(state),
      attributes: {
        'restore.phase': state.phase,
        'restore.phase.progress': phase,
        ...(whole !== null && { 'restore.progress': whole }),
      },
    })
  }

  const logStall = (state: RestoreState, event: RestoreEvent) => {
    if (state.status !== 'running' || state.progress.stalled === stalled) return
    stalled = state.progress.stalled
    const quietS = Math.round((event.atMs - state.progress.lastProgressAtMs) / 1000)
    emit(state, {
      eventName: stalled ? 'restore.stalled' : 'restore.resumed',
      severity: stalled ? SeverityNumber.WARN : SeverityNumber.INFO,
      body: stalled ? `${state.phase}: no progress for ${quietS} s` : `${state.phase}: progress again`,
      atMs: event.atMs,
      spanId: innermostOf(state),
      attributes: {
        'restore.phase': state.phase,
        ...(state.step && { 'restore.step': state.step }),
        ...(!stalled && { 'restore.resumed.after': 'stall' }),
      },
    })
  }

  return (state, event) => {
    logErrors(state, event)
    for (const span of state.endedSpans) logEndedSpan(emit, state, span)
    if (event.type === 'phase_started') logPhaseStarted(emit, state, event)
    if (event.type === 'resumed') logTakeover(emit, state, event)
    if (event.type === 'notice') logNotice(emit, state, event)
    logProgress(state, event)
    logStall(state, event)
    if (event.type === 'ended') logEnd(emit, state, event)
  }
}

function logTakeover(emit: Emit, state: RestoreState, event: EventOf<'resumed'>): void {
  const { agentPid, adopted, atMs } = event
  emit(state, {
    eventName: 'restore.resumed',
    severity: SeverityNumber.WARN,
    body: `agent ${agentPid} resumes the restore${adopted ? ' and adopts its tools' : ' in a new attempt'}`,
    atMs,
    spanId: innermostOf(state),
    attributes: { 'restore.resumed.after': 'interruption', 'restore.adopted': adopted },
  })
}

function logNotice(emit: Emit, state: RestoreState, { text, atMs }: EventOf<'notice'>): void {
  const attributes = { 'restore.phase': state.phase }
  const severity = SeverityNumber.WARN
  emit(state, { eventName: 'restore.notice', severity, body: text, atMs, spanId: innermostOf(state), attributes })
}

function logEndedSpan(emit: Emit, state: RestoreState, span: EndedSpan): void {
  if (span.kind === 'restore')
    emit(state, {
      eventName: 'restore.started',
      severity: SeverityNumber.INFO,
      body: `restore ${state.restoreId} started`,
      atMs: span.startedAtMs,
      spanId: span.id,
      attributes: scrubAttributes(span.attributes),
    })
  if (span.kind === 'phase')
    emit(state, {
      eventName: 'restore.phase.ended',
      severity: span.error ? SeverityNumber.ERROR : SeverityNumber.INFO,
      body: `${span.name} ${span.error ? `failed: ${span.error.code}` : 'ended'}`,
      atMs: span.endedAtMs,
      spanId: span.id,
      attributes: {
        ...scrubAttributes(span.attributes),
        'restore.phase': span.name,
        'restore.phase.duration': (span.endedAtMs - span.startedAtMs) / 1000,
        ...(span.error && { 'error.type': span.error.code }),
      },
    })
}

function logPhaseStarted(emit: Emit, state: RestoreState, event: RestoreEvent & { type: 'phase_started' }): void {
  const span = state.spans.findLast(({ kind }) => kind === 'phase')
  emit(state, {
    eventName: 'restore.phase.started',
    severity: SeverityNumber.INFO,
    body: `${event.phase} started`,
    atMs: event.atMs,
    spanId: span?.id ?? innermostOf(state),
    attributes: { 'restore.phase': event.phase, ...scrubAttributes(span?.attributes ?? {}) },
  })
}

function logEnd(emit: Emit, state: RestoreState, event: RestoreEvent & { type: 'ended' }): void {
  const outcome = state.endedSpans.find(({ kind }) => kind === 'outcome')
  const succeeded = event.status === 'succeeded'
  emit(state, {
    eventName: succeeded ? 'restore.completed' : 'restore.failed',
    severity: succeeded ? SeverityNumber.INFO : SeverityNumber.ERROR,
    body: succeeded ? `restore ${state.restoreId} completed` : `restore ${state.restoreId} ${event.status}`,
    atMs: event.atMs,
    spanId: outcome?.id ?? null,
    attributes: {
      'restore.state': event.status,
      'restore.phase': event.phase,
      ...(event.error && { ...exceptionOf(event.error), ...lastWordsOf(event.error) }),
    },
  })
}

const exceptionOf = ({ code, message }: { code: string; message: string }): Attributes => ({
  'error.type': code,
  'exception.type': code,
  'exception.message': scrubText(message),
})

const LONGEST_LAST_WORDS = 16_384

const lastWordsOf = ({ hint, lastWords }: ErrorRecord): Attributes => ({
  'restore.error.hint': hint,
  ...(lastWords.length > 0 && {
    'restore.error.last_words': scrubText(lastWords.join('\n').slice(-LONGEST_LAST_WORDS)),
  }),
})

/** The innermost open span that is not a tool's. */
const innermostOf = (state: RestoreState): string | null =>
  state.spans.findLast(({ kind }) => kind !== 'tool')?.id ?? null
