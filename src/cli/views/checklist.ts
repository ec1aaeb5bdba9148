import { PHASES, type Phase, TERMINAL_PHASES } from '../../phases.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import type { PhaseRecord, Track } from './track.ts'
import { PHASE_LABELS } from './words.ts'

/** One line of the checklist. Of a chain only the element now worked on is shown phase by phase. */
export interface ChecklistRow {
  label: string
  /** For terminals of few columns. */
  shortLabel: string
  status: 'done' | 'running' | 'pending' | 'failed'
  /** Null where unknown, or not begun. */
  elapsedMs: number | null
  readBytes: number | null
}

const PER_ELEMENT: readonly Phase[] = ['restoring_basebackup', 'preparing_backup', 'rebuilding_tables']

export function checklistRows(state: RestoreState, track: Track, nowMs: number): ChecklistRow[] {
  const current = track.phases.at(-1)
  const position = Math.max(1, state.position || (current?.position ?? 0))
  const inChain = state.chainLength > 1
  const rank = rankOf(state, current)

  const row = (phase: Phase): ChecklistRow => {
    const ownRank = PHASES.indexOf(phase)
    const records = track.phases.filter(
      record => record.phase === phase && (!PER_ELEMENT.includes(phase) || !inChain || record.position === position),
    )
    const status = ownRank < rank ? 'done' : ownRank > rank ? 'pending' : statusOf(state)
    return {
      label: PHASE_LABELS[phase],
      shortLabel: PHASE_LABELS[phase],
      status,
      elapsedMs: status === 'pending' ? null : elapsedOf(records, nowMs),
      readBytes: records.findLast(record => record.readBytes !== null)?.readBytes ?? null,
    }
  }

  const phases = phasesOf(state, position, current?.phase ?? null)
  const before = phases.filter(phase => PHASES.indexOf(phase) < PHASES.indexOf('restoring_basebackup'))
  const during = phases.filter(phase => PER_ELEMENT.includes(phase))
  const after = phases.filter(phase => PHASES.indexOf(phase) > PHASES.indexOf('rebuilding_tables'))
  if (!inChain) return phases.map(row)

  const beyondElements = rank > PHASES.indexOf('rebuilding_tables')
  const done = beyondElements ? state.chainLength : position - 1
  const rows = before.map(row)
  if (done > 0) {
    const records = track.phases.filter(record => PER_ELEMENT.includes(record.phase) && record.position <= done)
    const allSeen = new Set(records.map(record => record.position)).size === done
    rows.push({
      ...elementsLabels(1, done),
      status: 'done',
      elapsedMs: allSeen ? elapsedOf(records, nowMs) : null,
      readBytes: null,
    })
  }
  if (!beyondElements) {
    const labels = (phase: Phase) => ({
      label: `element ${position} ${PHASE_LABELS[phase]}`,
      shortLabel: `${position} ${PHASE_LABELS[phase]}`,
    })
    rows.push(...during.map(phase => ({ ...row(phase), ...labels(phase) })))
    if (position < state.chainLength) {
      const labels = elementsLabels(position + 1, state.chainLength)
      rows.push({ ...labels, status: 'pending', elapsedMs: null, readBytes: null })
    }
  }
  return [...rows, ...after.map(row)]
}

/** Where in the order of phases the restore is; beyond all of them once it has succeeded. */
function rankOf(state: RestoreState, current: PhaseRecord | undefined): number {
  if (state.status === 'succeeded') return PHASES.length
  const phase = TERMINAL_PHASES.includes(state.phase) ? current?.phase : state.phase
  return phase === undefined ? -1 : PHASES.indexOf(phase)
}

const statusOf = (state: RestoreState): ChecklistRow['status'] => (state.status === 'running' ? 'running' : 'failed')

/** The phases worth a line: those of the plan, or the usual ones until there is a plan, and the one now running. */
function phasesOf(state: RestoreState, position: number, current: Phase | null): Phase[] {
  const planned: readonly Phase[] = state.plan?.steps
    .filter(step => state.chainLength <= 1 || step.element === position || !PER_ELEMENT.includes(step.phase))
    .map(step => step.phase) ?? ['restoring_basebackup', 'preparing_backup']
  const wanted = new Set<Phase>(['getting_backup_info', ...planned, 'finalizing'])
  if (current !== null && !TERMINAL_PHASES.includes(current)) wanted.add(current)
  return PHASES.filter(phase => wanted.has(phase))
}

const elementsLabels = (from: number, to: number) =>
  from === to
    ? { label: `element ${from}`, shortLabel: `${from}` }
    : { label: `elements ${from}-${to}`, shortLabel: `${from}-${to}` }

/** Null where nothing was seen of it. */
function elapsedOf(records: readonly PhaseRecord[], nowMs: number): number | null {
  if (records.length === 0) return null
  return records.reduce((sum, { startedAtMs, endedAtMs }) => sum + Math.max(0, (endedAtMs ?? nowMs) - startedAtMs), 0)
}
