import type { Phase } from '../../phases.ts'
import { feed } from './advance-estimator.ts'
import { readToolEvents } from './read-tool-events.ts'
import { updateAhead } from './reduce-ahead.ts'
import { endSpans, openSpan, openSpanOf, phaseSpanOf } from './spans.ts'
import type { Counters, EventOf, RestoreState } from './state.ts'

/** The part of the reducer that follows the tools: their spans, their lines, what they do. */

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
  if (inFront) for (const toolEvent of event.events) state = feed(state, { type: 'tool', event: toolEvent }, event.atMs)
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
      : updateAhead(state, event.position, { readBytes: event.sourceReadBytes })
  const fed = feed(state, { type: 'sample', sample: event.sample, lines: event.lines }, event.atMs)
  if (event.sourceReadBytes === null) return fed
  return feed(
    { ...fed, source: { ...fed.source, readBytes: event.sourceReadBytes } },
    { type: 'source', readBytes: event.sourceReadBytes },
    event.atMs,
  )
}
