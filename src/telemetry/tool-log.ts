import { SeverityNumber } from '@opentelemetry/api'
import type { RestoreEvent, RestoreState } from '../restore/state/state.ts'
import type { ToolEvent } from '../tool/events.ts'
import type { Emit } from './logs.ts'
import type { OwnCounts } from './metrics.ts'

/**
 * The tools' own lines as log records: at DEBUG, those the grammar took for a complaint or a failure at their level. At
 * most 100 a second pass, the last 20 of them only for complaints, so that a flood cannot drown its own cause. What did
 * not pass is counted, and the count is told when the next second begins or the tool ends.
 */
const LINES_PER_SECOND = 100
const DEBUG_LINES_PER_SECOND = 80
const LONGEST_LINE = 4096

type Lines = RestoreEvent & { type: 'tool_lines' }
type Spoken = Extract<ToolEvent, { type: 'complaint' | 'failure' }>

export function makeToolLog(emit: Emit, own: OwnCounts): (state: RestoreState, event: RestoreEvent) => void {
  let second = Number.NEGATIVE_INFINITY
  let passed = 0
  let held: { count: number; tool: string; spanId: string | null } | null = null

  const tellHeld = (state: RestoreState, atMs: number) => {
    if (!held) return
    const { count, tool, spanId } = held
    held = null
    emit(state, {
      severity: SeverityNumber.WARN,
      body: `${count} lines of ${tool} were not passed on`,
      atMs,
      spanId,
      attributes: { 'restore.tool.lines.dropped': count, 'process.executable.name': tool },
    })
  }

  const tellLines = (state: RestoreState, event: Lines) => {
    const running = state.tools.find(({ id, name }) => id === event.tool || name === event.tool)
    const tool = running?.name ?? event.tool
    const spanId = running?.spanId ?? state.spans.at(-1)?.id ?? null
    const attributes = { 'restore.phase': state.phase, 'process.executable.name': tool }
    let unsent = 0
    for (const [line, severity] of linesOf(event)) {
      if (passed >= (severity === SeverityNumber.DEBUG ? DEBUG_LINES_PER_SECOND : LINES_PER_SECOND)) {
        unsent++
        continue
      }
      passed++
      emit(state, { severity, body: line.slice(0, LONGEST_LINE), atMs: event.atMs, spanId, attributes })
    }
    if (unsent > 0) own.linesDropped[state.phase] = (own.linesDropped[state.phase] ?? 0) + unsent
    if (unsent + event.dropped > 0) held = { count: (held?.count ?? 0) + unsent + event.dropped, tool, spanId }
  }

  return (state, event) => {
    if (event.atMs - second >= 1000 || event.atMs < second) {
      second = event.atMs
      passed = 0
      tellHeld(state, event.atMs)
    }
    if (event.type === 'tool_lines') tellLines(state, event)
    if (event.type === 'tool_ended' || event.type === 'ended') tellHeld(state, event.atMs)
  }
}

/** The texts that were passed along, and what the grammar singled out of lines that were not. */
function linesOf({ lines, events }: Lines): [line: string, severity: SeverityNumber][] {
  const spoken = events.filter((event): event is Spoken => event.type === 'complaint' || event.type === 'failure')
  if (spoken.length === 0) return lines.map(line => [line, SeverityNumber.DEBUG])
  const beyond = spoken.filter(({ text }) => !lines.some(line => line.includes(text)))
  return [
    ...lines.map((line): [string, SeverityNumber] => {
      const event = spoken.find(({ text }) => line.includes(text))
      return [line, event ? severityOf(event) : SeverityNumber.DEBUG]
    }),
    ...beyond.map((event): [string, SeverityNumber] => [event.text, severityOf(event)]),
  ]
}

const severityOf = (event: Spoken): SeverityNumber =>
  event.type === 'complaint' && event.level === 'warning' ? SeverityNumber.WARN : SeverityNumber.ERROR
