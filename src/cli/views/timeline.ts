import type { Phase } from '../../phases.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { addReading, noReadings, type Rate, type Readings, rateOf } from './rate.ts'

/**
 * What a view derives from several bodies: the phases of this attempt with their durations, the rate of the running
 * step, and when the tool last used CPU or did I/O. Pure. A view that starts late has no durations of earlier phases.
 */
export interface Timeline {
  attempt: number
  phases: readonly PhaseRecord[]
  readings: Readings
  cpu: LastIncrease
  io: LastIncrease
}

export interface PhaseRecord {
  phase: Phase
  /** Element of the chain, from 1; 0 outside the elements. */
  position: number
  startedAtMs: number
  endedAtMs: number | null
  failed: boolean
  /** Bytes of the source read in this phase; null in a phase that reads none. */
  readBytes: number | null
}

/** A counter's value and when it last increased; null where no increase was seen. */
interface LastIncrease {
  value: number
  atMs: number | null
}

const RECENT_MS = 15_000

export function addToTimeline(before: Timeline | null, body: RestoreBody): Timeline {
  const start = before === null || before.attempt !== body.attempt ? null : before
  const atMs = Date.parse(body.updated_at)
  const key = `${body.attempt}/${body.chain_position}/${body.phase}/${body.progress.step}`
  return {
    attempt: body.attempt,
    phases: addPhase(start?.phases ?? [], body),
    readings: addReading(start?.readings ?? noReadings, key, atMs, stepCounter(body)),
    cpu: increased(start?.cpu, body.cpu_seconds, atMs),
    io: increased(start?.io, body.io_read_bytes + body.io_write_bytes, atMs),
  }
}

function addPhase(records: readonly PhaseRecord[], body: RestoreBody): readonly PhaseRecord[] {
  const { phase } = body
  const position = body.chain_position ?? 0
  const startedAtMs = Date.parse(body.phase_started_at)
  const last = records.at(-1)
  const others = records.slice(0, -1)
  if (body.status !== 'running') {
    if (last === undefined || last.endedAtMs !== null) return records
    return [...others, { ...last, endedAtMs: Date.parse(body.updated_at), failed: body.status !== 'succeeded' }]
  }
  const readBytes = phase === 'restoring_basebackup' ? body.source_read_bytes : null
  if (last !== undefined && last.phase === phase && last.position === position)
    return last.readBytes === readBytes || readBytes === null ? records : [...others, { ...last, readBytes }]
  const ended = last === undefined ? [] : [{ ...last, endedAtMs: last.endedAtMs ?? startedAtMs }]
  return [...others, ...ended, { phase, position, startedAtMs, endedAtMs: null, failed: false, readBytes }]
}

function increased(before: LastIncrease | undefined, value: number, atMs: number): LastIncrease {
  if (before === undefined) return { value, atMs: null }
  return value > before.value ? { value, atMs } : before
}

/** Whether CPU time and I/O increased in the last 15 s. */
export const recentActivity = ({ cpu, io }: Timeline, nowMs: number): { cpu: boolean; io: boolean } => ({
  cpu: cpu.atMs !== null && nowMs - cpu.atMs <= RECENT_MS,
  io: io.atMs !== null && nowMs - io.atMs <= RECENT_MS,
})

/** The counter that the running step increases: bytes of the source or of redo, rows or files; null where none does. */
function stepCounter(body: RestoreBody): number | null {
  if (body.phase === 'restoring_basebackup') return body.source_read_bytes
  switch (body.progress.step) {
    case 'redo_scan':
      return body.redo_scanned_lsn
    case 'redo_apply':
      return body.redo_applied_lsn
    case 'undo_rollback':
      return body.rollback_rows === null ? null : -body.rollback_rows
    case 'delta_apply':
    case 'move_back':
      return body.work.files
    default:
      return null
  }
}

/** The rate of the running step over the last minute; null while unknown. */
export function currentRate(
  { phase, progress: { step } }: RestoreBody,
  timeline: Timeline,
  nowMs: number,
): Rate | null {
  const perSecond = rateOf(timeline.readings, nowMs)
  if (perSecond === null) return null
  if (step === 'undo_rollback') return { perSecond, unit: 'rows' }
  if (step === 'delta_apply' || step === 'move_back') return { perSecond, unit: 'files' }
  return { perSecond, unit: phase === 'restoring_basebackup' ? 'bytes' : 'redo bytes' }
}
