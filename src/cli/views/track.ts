import type { Phase } from '../../phases.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import { type Meter, measure, newMeter, type Rate, rateOf } from './meter.ts'
import { stepOf } from './words.ts'

/**
 * What a view must remember that the state does not hold: which phases this attempt went through and how long each
 * took, how fast the step goes, and when the tool was last seen to use CPU or do I/O. Pure; one small step a state.
 * A view that joins late (the agent was replaced) knows no durations of what was before it, and shows none.
 */
export interface Track {
  attempt: number
  phases: readonly PhaseRecord[]
  meter: Meter
  cpu: Seen
  io: Seen
}

export interface PhaseRecord {
  phase: Phase
  position: number
  startedAtMs: number
  endedAtMs: number | null
  failed: boolean
  /** Bytes of the source read in it; null where none were. */
  readBytes: number | null
}

/** A counter and when it last went up. */
interface Seen {
  value: number
  atMs: number | null
}

const SEEN_RECENTLY_MS = 15_000

export function trackState(before: Track | null, state: RestoreState): Track {
  const start = before === null || before.attempt !== state.attempt ? null : before
  const { cpuSeconds, ioReadBytes, ioWriteBytes } = state.counters
  return {
    attempt: state.attempt,
    phases: trackPhases(start?.phases ?? [], state),
    meter: measure(start?.meter ?? newMeter, meterKey(state), state.updatedAtMs, meterValue(state)),
    cpu: see(start?.cpu, total(cpuSeconds), state.updatedAtMs),
    io: see(start?.io, total(ioReadBytes) + total(ioWriteBytes), state.updatedAtMs),
  }
}

function trackPhases(records: readonly PhaseRecord[], state: RestoreState): readonly PhaseRecord[] {
  const { phase, position, phaseStartedAtMs: startedAtMs, updatedAtMs } = state
  const last = records.at(-1)
  if (state.status !== 'running') {
    if (last === undefined || last.endedAtMs !== null) return records
    return [...records.slice(0, -1), { ...last, endedAtMs: updatedAtMs, failed: state.status !== 'succeeded' }]
  }
  const readBytes = phase === 'restoring_basebackup' ? state.source.readBytes : null
  if (last !== undefined && last.phase === phase && last.position === position) {
    if (last.readBytes === readBytes || readBytes === null) return records
    return [...records.slice(0, -1), { ...last, readBytes }]
  }
  const ended = last === undefined ? [] : [{ ...last, endedAtMs: last.endedAtMs ?? startedAtMs }]
  return [
    ...records.slice(0, -1),
    ...ended,
    { phase, position, startedAtMs, endedAtMs: null, failed: false, readBytes },
  ]
}

const total = (byPhase: Readonly<Partial<Record<Phase, number>>>): number =>
  Object.values(byPhase).reduce((sum, value) => sum + value, 0)

function see(before: Seen | undefined, value: number, atMs: number): Seen {
  if (before === undefined) return { value, atMs: null }
  return value > before.value ? { value, atMs } : before
}

/** Whether CPU and I/O moved in the last 15 s. */
export const seenRecently = (track: Track, nowMs: number): { cpu: boolean; io: boolean } => ({
  cpu: track.cpu.atMs !== null && nowMs - track.cpu.atMs <= SEEN_RECENTLY_MS,
  io: track.io.atMs !== null && nowMs - track.io.atMs <= SEEN_RECENTLY_MS,
})

const meterKey = (state: RestoreState) =>
  `${state.attempt}/${state.position}/${state.phase}/${stepOf(state.phase, state.step) ?? ''}`

/** What the step now running moves, if the state says so: bytes of the source, of redo, rows or files. */
function meterValue(state: RestoreState): number | null {
  if (state.phase === 'restoring_basebackup') return state.source.readBytes
  switch (stepOf(state.phase, state.step)) {
    case 'redo_scan':
      return state.redo.scannedLsn
    case 'redo_apply':
      return state.redo.appliedLsn
    case 'undo_rollback':
      return state.rollbackRows === null ? null : -state.rollbackRows
    case 'delta_apply':
    case 'move_back':
      return state.work.files
    default:
      return null
  }
}

/** How fast the step goes, by what was heard within the last minute; null where that says nothing. */
export function currentRate(state: RestoreState, track: Track, nowMs: number): Rate | null {
  const perSecond = rateOf(track.meter, nowMs)
  if (perSecond === null) return null
  const step = stepOf(state.phase, state.step)
  if (step === 'undo_rollback') return { perSecond, unit: 'rows' }
  if (step === 'delta_apply' || step === 'move_back') return { perSecond, unit: 'files' }
  return { perSecond, unit: state.phase === 'restoring_basebackup' ? 'bytes' : 'redo bytes' }
}
