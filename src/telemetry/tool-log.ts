import { SeverityNumber } from '@opentelemetry/api'
import type { RestoreEvent, RestoreState } from '../restore/state/state.ts'
import type { ToolEvent } from '../tool/events.ts'
import type { Emit } from './logs.ts'
import type { OwnCounts } from './metrics.ts'

/**
 * The tools' lines as log records: warnings and errors at their level, all others at DEBUG. At most 100 a second pass,
 * the last 20 of them only warnings and errors, so that a flood does not hide its cause. The number of dropped lines is
 * logged when the next second begins or the tool ends.
 */
const LINES_PER_SECOND = 100
const DEBUG_LINES_PER_SECOND = 80
const LONGEST_LINE = 4096

type Lines = RestoreEvent & { type: 'tool_lines' }
type Complaint = Extract<ToolEvent, { type: 'complaint' | 'failure' }>

export function makeToolLog(emit: Emit, own: OwnCounts): (state: RestoreState, event: RestoreEvent) => void {
  let second = Number.NEGATIVE_INFINITY
  let passed = 0
  let dropped: { count: number; tool: string; spanId: string | null } | null = null

  const logDropped = (state: RestoreState, atMs: number) => {
    if (!dropped) return
    const { count, tool, spanId } = dropped
    dropped = null
    emit(state, {
      severity: SeverityNumber.WARN,
      body: `${count} lines of ${tool} were not passed on`,
      atMs,
      spanId,
      attributes: { 'restore.tool.lines.dropped': count, 'process.executable.name': tool },
    })
  }

  const logLines = (state: RestoreState, event: Lines) => {
    const running = state.tools.find(({ id, name }) => id === event.tool || name === event.tool)
    const tool = running?.name ?? event.tool
    const spanId = running?.spanId ?? state.spans.at(-1)?.id ?? null
    const attributes = { 'restore.phase': state.phase, 'process.executable.name': tool }
    let overLimit = 0
    for (const [line, severity] of linesOf(event)) {
      if (passed >= (severity === SeverityNumber.DEBUG ? DEBUG_LINES_PER_SECOND : LINES_PER_SECOND)) {
        overLimit++
        continue
      }
      passed++
      emit(state, { severity, body: line.slice(0, LONGEST_LINE), atMs: event.atMs, spanId, attributes })
    }
    if (overLimit > 0) own.linesDropped[state.phase] = (own.linesDropped[state.phase] ?? 0) + overLimit
    if (overLimit + event.dropped > 0)
      dropped = { count: (dropped?.count ?? 0) + overLimit + event.dropped, tool, spanId }
  }

  return (state, event) => {
    if (event.atMs - second >= 1000 || event.atMs < second) {
      second = event.atMs
      passed = 0
      logDropped(state, event.atMs)
    }
    if (event.type === 'tool_lines') logLines(state, event)
    if (event.type === 'tool_ended' || event.type === 'ended') logDropped(state, event.atMs)
  }
}

/** The lines of the event, and the warnings and errors of lines that it does not have. */
function linesOf({ lines, events }: Lines): [line: string, severity: SeverityNumber][] {
  const complaints = events.filter(
    (event): event is Complaint => event.type === 'complaint' || event.type === 'failure',
  )
  if (complaints.length === 0) return lines.map(line => [line, SeverityNumber.DEBUG])
  const beyond = complaints.filter(({ text }) => !lines.some(line => line.includes(text)))
  return [
    ...lines.map((line): [string, SeverityNumber] => {
      const event = complaints.find(({ text }) => line.includes(text))
      return [line, event ? severityOf(event) : SeverityNumber.DEBUG]
    }),
    ...beyond.map((event): [string, SeverityNumber] => [event.text, severityOf(event)]),
  ]
}

const severityOf = (event: Complaint): SeverityNumber =>
  event.type === 'complaint' && event.level === 'warning' ? SeverityNumber.WARN : SeverityNumber.ERROR
