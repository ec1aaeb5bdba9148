/** What a tool's event means for the estimate: recovery's are in redo-events.ts, here is the rest of a prepare. */
import type { ToolEvent } from '../tool/events.ts'
import { credit, move } from './activity.ts'
import { myHoardAfter } from './myhoard.ts'
import { redoBytes } from './redo.ts'
import { redoAfter } from './redo-events.ts'
import type { ProgressState, Work } from './state.ts'
import { stepAfter } from './steps.ts'

export function takeToolEvent(before: ProgressState, event: ToolEvent, atMs: number): ProgressState {
  const state: ProgressState = {
    ...before,
    lastActivityAtMs: Math.max(atMs, before.lastActivityAtMs ?? atMs),
    lastPrintedAtMs: Math.max(atMs, before.lastPrintedAtMs ?? atMs),
  }
  if (event.type === 'starved') return { ...state, starvedSinceMs: state.starvedSinceMs ?? atMs }
  if (state.phase !== 'preparing_backup') return state
  const prepared = takeFacts(state, event)
  const myhoard = myHoardAfter(prepared.myhoard, event, prepared.facts)
  const redo = redoAfter(prepared.redo, event, prepared.facts)
  const work = workAfter(prepared, event)
  if (redo === null && work === null) return myhoard === prepared.myhoard ? prepared : { ...prepared, myhoard }
  // The time until now was spent in the step that this event ends.
  const credited = credit({ ...prepared, myhoard }, atMs)
  const after = redoAfter(credited.state.redo, event, prepared.facts) ?? credited.state.redo
  const next: ProgressState = {
    ...credited.state,
    step: stepAfter(event, credited.state.step, credited.state.redo),
    redo: after,
    work: workAfter(credited.state, event) ?? credited.state.work,
  }
  return move(next, credited.deltaSeconds, atMs)
}

/** What the tool itself says about the work. */
function takeFacts(state: ProgressState, event: ToolEvent): ProgressState {
  const { facts } = state
  switch (event.type) {
    case 'buffer_pool':
      return { ...state, facts: { ...facts, memoryBytes: event.bytes } }
    case 'redo_found':
      // The file was grown by an eighth, for recovery's own use, before it said so.
      return facts.redoBytes === null ? { ...state, facts: { ...facts, redoBytes: (event.sizeBytes * 8) / 9 } } : state
    case 'memory_estimate':
      return { ...state, facts: { ...facts, redoFrames: event.frames, redoMemoryBytes: event.parseBytes } }
    default:
      return state
  }
}

/** Null where the event says nothing about these parts. */
function workAfter({ work, redo, facts, step }: ProgressState, event: ToolEvent): Work | null {
  switch (event.type) {
    case 'delta_apply':
      // Deltas come before the redo: one that comes later was read before.
      if (redo.startLsn !== null) return null
      return {
        ...work,
        deltaFiles: work.deltaFiles + 1,
        deltaDoneBytes: work.deltaDoneBytes + work.deltaFileBytes,
        deltaFileBytes: deltaSize(event.file, facts.deltaFiles),
        deltaFileIoBytes: 0,
      }
    case 'batch_completed': {
      const total = redoBytes(redo, facts)
      return total !== null && redo.scannedBytes >= total ? { ...work, closing: 'flushing', closingSeconds: 0 } : null
    }
    case 'rollback_found':
      return work.undoRows === null || event.rows > work.undoRows ? { ...work, undoRows: event.rows } : null
    case 'rollback_started':
      return {
        ...work,
        undoRowsDone: work.undoRowsDone + work.trxRows,
        trxRows: event.rows,
        trxRowsDone: 0,
        undoRows: Math.max(work.undoRows ?? 0, work.undoRowsDone + work.trxRows + event.rows),
      }
    case 'rollback_percent': {
      const rows = (work.trxRows * Math.min(100, event.percent)) / 100
      return rows > work.trxRowsDone ? { ...work, trxRowsDone: rows } : null
    }
    case 'rollback_completed':
      return work.undoEnded ? null : { ...work, undoEnded: true, closing: 'flushing' }
    case 'shutdown_started':
      return { ...work, closing: 'shutting_down' }
    case 'shutdown_completed':
      return { ...work, closing: 'shut_down' }
    case 'completed_ok':
      if (step === 'move_back') return work.movedBack ? null : { ...work, movedBack: true }
      return work.completed ? null : { ...work, completed: true }
    case 'file_done':
      return step === 'move_back' ? { ...work, filesMoved: work.filesMoved + 1 } : null
    default:
      return null
  }
}

function deltaSize(file: string, sizes: Readonly<Record<string, number>> | null): number {
  if (sizes === null) return 0
  const relative = file.replace(/^(\.?\/)+/, '')
  return sizes[file] ?? sizes[relative] ?? 0
}
