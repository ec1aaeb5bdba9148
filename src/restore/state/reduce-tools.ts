import type { Phase } from '../../phases.ts'
import type { ToolEvent } from '../../tool/events.ts'
import { advanceEstimator, endSpans, followBinlogs, openSpan, openSpanOf, phaseSpanOf } from './spans.ts'
import type { Counters, EventOf, RestoreState, SourceBytes } from './state.ts'

/** The part of the reducer for tools: their spans, lines, samples and exits. */

export function startTool(
  state: RestoreState,
  { tool, position, attributes, atMs }: EventOf<'tool_started'>,
): RestoreState {
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

export function endTool(state: RestoreState, event: EventOf<'tool_ended'>): RestoreState {
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

export function readLines(before: RestoreState, event: EventOf<'tool_lines'>): RestoreState {
  const inFront = event.position === before.position
  let state = inFront ? readToolEvents(before, event.events) : before
  if (inFront)
    for (const toolEvent of event.events)
      state = advanceEstimator(state, { type: 'tool', event: toolEvent }, event.atMs)
  const { scannedLsn, appliedLsn } = state.estimator.recovery
  return {
    ...state,
    ...(inFront && { redo: { ...state.redo, scannedLsn, appliedLsn } }),
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

export function takeSample(before: RestoreState, event: EventOf<'sample'>): RestoreState {
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
  if (event.position !== state.position)
    return event.sourceReadBytes === null
      ? state
      : updatePrefetched(state, event.position, { readBytes: event.sourceReadBytes })
  const fed = advanceEstimator(state, { type: 'sample', sample: event.sample, lines: event.lines }, event.atMs)
  if (event.sourceReadBytes === null) return fed
  return advanceEstimator(
    { ...fed, source: { ...fed.source, readBytes: event.sourceReadBytes } },
    { type: 'source', readBytes: event.sourceReadBytes },
    event.atMs,
  )
}

/** An agent that adopted the server counts from what the one before it had seen. */
export function takeApplied(state: RestoreState, { applied, atMs }: EventOf<'applied'>): RestoreState {
  const { bytes, transactions, dataAsOfMs } = applied
  const before = state.binlogs
  const more = Math.max(0, transactions - before.transactions)
  const after = {
    ...state,
    binlogs: { appliedBytes: bytes, transactions, dataAsOfMs: dataAsOfMs ?? before.dataAsOfMs, readAtMs: atMs },
    counters: { ...state.counters, transactions: state.counters.transactions + more },
  }
  const totalBytes = state.plan?.binlogs?.bytes ?? bytes
  return advanceEstimator(followBinlogs(before, after, atMs), { type: 'binlogs', doneBytes: bytes, totalBytes }, atMs)
}

/** Rows left to roll back, and what the running step has done. LSNs belong to the tracker (recovery.ts). */
export function readToolEvents(before: RestoreState, events: readonly ToolEvent[]): RestoreState {
  if (events.length === 0) return before
  let { rollbackRows } = before
  const work = { ...before.work }
  let batchPages = 0
  for (const event of events) {
    switch (event.type) {
      case 'batch_started':
        work.pages += event.pages ?? 0
        break
      case 'pages_left':
        // MariaDB: each line names the pages still left; the largest is the batch.
        batchPages = Math.max(batchPages, event.pages)
        break
      case 'rollback_found':
        rollbackRows = event.rows
        break
      case 'rollback_started':
        work.rows += event.rows
        rollbackRows = event.rows
        break
      case 'rollback_percent':
        rollbackRows = Math.round((work.rows * (100 - event.percent)) / 100)
        break
      case 'rollback_completed':
        rollbackRows = 0
        break
      case 'delta_apply':
      case 'file_started':
        work.files += 1
        break
    }
  }
  work.pages = Math.max(work.pages, batchPages)
  return { ...before, rollbackRows, work }
}

/** Bytes read of the prefetched element while another element is the current one. */
export const beginPrefetched = (state: RestoreState, position: number): RestoreState => ({
  ...state,
  prefetched: {
    position,
    readBytes: null,
    totalBytes: state.plan?.elements[position - 1]?.description.storedBytes ?? null,
  },
})

export const updatePrefetched = (state: RestoreState, position: number, bytes: Partial<SourceBytes>): RestoreState =>
  state.prefetched?.position === position ? { ...state, prefetched: { ...state.prefetched, ...bytes } } : state
