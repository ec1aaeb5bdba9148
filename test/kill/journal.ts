import { existsSync, readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { runName } from '../../src/restore/state/runs.ts'
import type { EndedSpan, RestoreEvent } from '../../src/restore/state/state.ts'

/** One event as an agent's observers were told of it. */
export interface JournalLine {
  pid: number
  atMs: number
  type: RestoreEvent['type']
  /** What the event is about: a run, a phase, a step. */
  detail: string
  phase: string
  position: number
  chainLength: number
  phasePercent: number | null
  memoryBytes: number | null
  spans: readonly (EndedSpan & { traceId: string })[]
}

export function detailOf(event: RestoreEvent): string {
  switch (event.type) {
    case 'run_begun':
    case 'run_finished':
      return runName(event.run)
    case 'runs_undone':
      return event.runs.map(runName).join()
    case 'tool_started':
      return runName(event.tool.run)
    case 'tool_ended':
    case 'tool_lines':
      return event.id
    case 'phase_started':
      return event.position ? `${event.phase} ${event.position}` : event.phase
    case 'step_started':
      return event.step
    case 'attempt_ended':
    case 'phase_ended':
      return event.error?.code ?? ''
    case 'ended':
      return event.phase
    case 'resumed':
      return event.adopted ? 'adopted' : 'new attempt'
    case 'notice':
      return event.text
    default:
      return ''
  }
}

export function readJournal(path: string): JournalLine[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
}

/** How often this happened, over all agents. */
export const times = (journal: readonly JournalLine[], type: JournalLine['type'], detail?: string): number =>
  journal.filter(line => line.type === type && (detail === undefined || line.detail === detail)).length

const PARENTS: Readonly<Record<EndedSpan['kind'], readonly EndedSpan['kind'][]>> = {
  restore: [],
  outcome: ['restore'],
  attempt: ['restore'],
  phase: ['attempt'],
  step: ['phase'],
  progress: ['phase'],
  tool: ['step', 'phase'],
  request: ['phase'],
  binlog: ['phase'],
}

/**
 * One trace, no span handed over twice, every parent there, every child within its parent (but for the root, which ends
 * at once), and the outcome last.
 */
export function expectOneTrace(journal: readonly JournalLine[]): void {
  const spans = journal.flatMap(line => line.spans)
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
  const byId = new Map(spans.map(span => [span.id, span]))
  expect(byId.size, 'a span was handed over twice').toBe(spans.length)
  const roots = spans.filter(({ kind }) => kind === 'restore')
  expect(roots.map(({ parentId }) => parentId)).toEqual([null])
  expect(spans.at(-1)!.kind).toBe('outcome')
  for (const span of spans) {
    expect(span.endedAtMs).toBeGreaterThanOrEqual(span.startedAtMs)
    if (span.parentId === null) continue
    const parent = byId.get(span.parentId)
    expect(parent, `the parent of ${span.name} was never handed over`).toBeDefined()
    expect(PARENTS[span.kind], `${span.kind} ${span.name} in ${parent!.name}`).toContain(parent!.kind)
    expect(span.startedAtMs, `${span.name} begins before ${parent!.name}`).toBeGreaterThanOrEqual(parent!.startedAtMs)
    if (parent!.kind === 'restore') continue
    // A progress span is handed over before its state is on the disk, so a killed agent's phase may end before it.
    const lateMs = span.kind === 'progress' ? 2000 : 0
    expect(span.endedAtMs, `${span.name} ends after ${parent!.name}`).toBeLessThanOrEqual(parent!.endedAtMs + lateMs)
  }
  const attempts = spans.filter(({ kind }) => kind === 'attempt')
  const began = attempts.sort((a, b) => a.startedAtMs - b.startedAtMs)
  expect(began.map(({ attributes }) => attributes['restore.attempt'])).toEqual(began.map((_, index) => index + 1))
}
