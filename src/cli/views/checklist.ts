import { PHASES, type Phase, TERMINAL_PHASES } from '../../phases.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { PHASE_LABELS } from './labels.ts'
import type { PhaseRecord, Timeline } from './timeline.ts'

/** One line of the checklist. Only the current element of a chain is shown phase by phase. */
export interface ChecklistRow {
  label: string
  /** For narrow terminals. */
  shortLabel: string
  status: 'done' | 'running' | 'pending' | 'failed'
  /** Null while unknown or pending. */
  elapsedMs: number | null
  readBytes: number | null
}

const PER_ELEMENT: readonly Phase[] = ['restoring_basebackup', 'preparing_backup', 'rebuilding_tables']

export function checklistRows(body: RestoreBody, timeline: Timeline, nowMs: number): ChecklistRow[] {
  const current = timeline.phases.at(-1)
  const chainLength = body.chain_length ?? 0
  const position = Math.max(1, body.chain_position ?? current?.position ?? 0)
  const inChain = chainLength > 1
  const rank = rankOf(body, current)

  const row = (phase: Phase): ChecklistRow => {
    const ownRank = PHASES.indexOf(phase)
    const records = timeline.phases.filter(
      record => record.phase === phase && (!PER_ELEMENT.includes(phase) || !inChain || record.position === position),
    )
    const status = ownRank < rank ? 'done' : ownRank > rank ? 'pending' : statusOf(body)
    return {
      label: PHASE_LABELS[phase],
      shortLabel: PHASE_LABELS[phase],
      status,
      elapsedMs: status === 'pending' ? null : elapsedOf(records, nowMs),
      readBytes: records.findLast(record => record.readBytes !== null)?.readBytes ?? null,
    }
  }

  const phases = phasesOf(body, position, current?.phase ?? null)
  const before = phases.filter(phase => PHASES.indexOf(phase) < PHASES.indexOf('restoring_basebackup'))
  const during = phases.filter(phase => PER_ELEMENT.includes(phase))
  const after = phases.filter(phase => PHASES.indexOf(phase) > PHASES.indexOf('rebuilding_tables'))
  if (!inChain) return phases.map(row)

  const beyondElements = rank > PHASES.indexOf('rebuilding_tables')
  const done = beyondElements ? chainLength : position - 1
  const rows = before.map(row)
  if (done > 0) {
    const records = timeline.phases.filter(record => PER_ELEMENT.includes(record.phase) && record.position <= done)
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
    if (position < chainLength) {
      const labels = elementsLabels(position + 1, chainLength)
      rows.push({ ...labels, status: 'pending', elapsedMs: null, readBytes: null })
    }
  }
  return [...rows, ...after.map(row)]
}

/** Index of the restore's phase in PHASES; PHASES.length after a success, -1 before the first phase. */
function rankOf(body: RestoreBody, current: PhaseRecord | undefined): number {
  if (body.status === 'succeeded') return PHASES.length
  const phase = TERMINAL_PHASES.includes(body.phase) ? current?.phase : body.phase
  return phase === undefined ? -1 : PHASES.indexOf(phase)
}

const statusOf = ({ status }: RestoreBody): ChecklistRow['status'] => (status === 'running' ? 'running' : 'failed')

/** The phases that get a line: those of the plan, or the usual ones before there is a plan, and the current one. */
function phasesOf({ steps, chain_length }: RestoreBody, position: number, current: Phase | null): Phase[] {
  const planned: readonly Phase[] = steps
    ?.filter(step => (chain_length ?? 0) <= 1 || step.element === position || !PER_ELEMENT.includes(step.phase))
    .map(step => step.phase) ?? ['restoring_basebackup', 'preparing_backup']
  const wanted = new Set<Phase>(['getting_backup_info', ...planned, 'finalizing'])
  if (current !== null && !TERMINAL_PHASES.includes(current)) wanted.add(current)
  return PHASES.filter(phase => wanted.has(phase))
}

const elementsLabels = (from: number, to: number) =>
  from === to
    ? { label: `element ${from}`, shortLabel: `${from}` }
    : { label: `elements ${from}-${to}`, shortLabel: `${from}-${to}` }

/** Null where the view has seen none of it. */
function elapsedOf(records: readonly PhaseRecord[], nowMs: number): number | null {
  if (records.length === 0) return null
  return records.reduce((sum, { startedAtMs, endedAtMs }) => sum + Math.max(0, (endedAtMs ?? nowMs) - startedAtMs), 0)
}
