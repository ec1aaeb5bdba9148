/** How a tool's events change the estimator's state. */
import type { Phase, Step } from '../phases.ts'
import { STEPS } from '../phases.ts'
import type { ToolEvent } from '../tool/events.ts'
import { credit, move } from './activity.ts'
import { scansTwice } from './cost-model.ts'
import { myHoardAfter } from './myhoard.ts'
import { isScanned, recoveryAfter } from './recovery.ts'
import { ENDINGS, type Ending, type ProgressState, type Work } from './state.ts'

export function takeToolEvent(before: ProgressState, event: ToolEvent, atMs: number): ProgressState {
  const state: ProgressState = {
    ...before,
    lastActivityAtMs: Math.max(atMs, before.lastActivityAtMs ?? atMs),
    lastPrintedAtMs: Math.max(atMs, before.lastPrintedAtMs ?? atMs),
  }
  if (event.type === 'starved') return { ...state, starvedSinceMs: state.starvedSinceMs ?? atMs }
  if (state.phase !== 'preparing_backup') return state
  // A tool prints its options before its banner. A second banner means that its stderr is read again from the start.
  if (event.type === 'prepare_options') return takeFacts(state, event)
  if (event.type === 'version' && state.toolEvents > 0 && state.step !== 'move_back')
    return { ...state, eventsToSkip: state.toolEvents - 1 }
  if (state.eventsToSkip > 0) return { ...state, eventsToSkip: state.eventsToSkip - 1 }
  return forward({ ...takeFacts(state, event), toolEvents: state.toolEvents + 1 }, event, atMs)
}

function forward(before: ProgressState, event: ToolEvent, atMs: number): ProgressState {
  const { facts } = before
  const state = { ...before, myhoard: myHoardAfter(before.myhoard, event, facts) }
  const recovery = recoveryAfter(state.recovery, event, facts)
  if (recovery.evidence === state.recovery.evidence && workAfter(state, event) === null) return { ...state, recovery }
  // The time until now belongs to the step that this event ends.
  const credited = credit(state, atMs)
  const work = workAfter(credited.state, event) ?? credited.state.work
  const next: ProgressState = {
    ...credited.state,
    step: stepAfter(event, credited.state, work),
    recovery: recoveryAfter(credited.state.recovery, event, facts),
    work,
  }
  return move(next, credited.deltaSeconds, atMs)
}

/** What the tool says about the work itself. */
function takeFacts(state: ProgressState, event: ToolEvent): ProgressState {
  const { facts, work } = state
  switch (event.type) {
    case 'version':
      return { ...state, facts: { ...facts, toolVersion: event.version } }
    case 'prepare_options':
      return {
        ...state,
        work: {
          ...work,
          applyLogOnly: event.applyLogOnly ?? work.applyLogOnly,
          newRedoBytes: event.newRedoBytes ?? work.newRedoBytes,
        },
      }
    case 'buffer_pool':
      return { ...state, facts: { ...facts, memoryBytes: event.bytes } }
    case 'redo_found':
      // xtrabackup grows the file by an eighth before it prints this line.
      return facts.redoBytes === null ? { ...state, facts: { ...facts, redoBytes: (event.sizeBytes * 8) / 9 } } : state
    case 'memory_estimate':
      return { ...state, facts: { ...facts, redoFrames: event.frames, redoMemoryBytes: event.parseBytes } }
    default:
      return state
  }
}

/** The work after an event; null where the event says nothing about it. */
function workAfter({ work, recovery, facts, step }: ProgressState, event: ToolEvent): Work | null {
  const enter = (ending: Ending): Work | null =>
    ENDINGS.indexOf(ending) <= ENDINGS.indexOf(work.ending)
      ? null
      : { ...work, ending, endingSeconds: scansTwice(facts) ? 0 : work.endingSeconds }
  switch (event.type) {
    case 'delta_apply':
      // Deltas are applied before the redo is read.
      if (recovery.begun) return null
      return {
        ...work,
        deltaDoneBytes: work.deltaDoneBytes + work.deltaFileBytes,
        deltaFileBytes: deltaSize(event.file, facts.deltaFiles),
        deltaFileIoBytes: 0,
      }
    case 'batch_completed':
      return isScanned(recovery, facts) ? enter('flushing') : null
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
      return work.undoEnded ? null : { ...(enter('flushing') ?? work), undoEnded: true }
    case 'shutdown_started':
      return work.ending === 'new_redo' || work.ending === 'second_start'
        ? enter('second_shutdown')
        : enter('shutting_down')
    case 'shutdown_completed':
      // The rollback in the background has ended by then.
      return !scansTwice(facts) || work.applyLogOnly || work.ending === 'second_shutdown'
        ? enter('shut_down')
        : { ...(enter('new_redo') ?? work), undoEnded: true, shutdownSeconds: work.endingSeconds }
    case 'redo_file_started':
      return {
        ...(enter('new_redo') ?? work),
        newRedoDoneBytes: work.newRedoDoneBytes + work.newRedoFileBytes,
        newRedoSeconds: work.newRedoFileBytes > 0 ? work.endingSeconds : 0,
        newRedoFileBytes: event.bytes,
        newRedoWrittenBytes: 0,
      }
    case 'redo_file_written':
      return event.bytes > work.newRedoWrittenBytes ? { ...work, newRedoWrittenBytes: event.bytes } : null
    case 'redo_files_created':
      return work.ending === 'new_redo' ? enter('second_start') : null
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

/** The step of a prepare after an event; `work` is after the event too. The coordinator begins the other steps. */
function stepAfter(event: ToolEvent, { step, recovery }: ProgressState, work: Work): Step | null {
  // A second start of InnoDB repeats all steps in a moment: it belongs to the shutdown.
  if (recovery.ended) return step === 'move_back' ? step : 'shutdown'
  switch (event.type) {
    case 'delta_apply':
      return 'delta_apply'
    case 'checkpoint':
    case 'multi_batch':
      return recovery.scanEnded ? step : 'redo_scan'
    case 'redo_scanned':
      return recovery.scanEnded ? 'redo_apply' : 'redo_scan'
    case 'end_of_log':
    case 'pages_left':
    case 'batch_started':
    case 'batch_percent':
      return 'redo_apply'
    case 'batch_completed':
      return 'flush'
    case 'rollback_found':
      // 0 rows: transactions to clean up, none to undo. xtrabackup 2.4 prints this line before its last batch.
      return event.rows > 0 && work.ending !== 'no' ? 'undo_rollback' : step
    case 'rollback_started':
    case 'rollback_percent':
      return 'undo_rollback'
    case 'rollback_completed':
      return work.ending === 'flushing' ? 'flush' : 'shutdown'
    case 'shutdown_started':
      // xtrabackup 2.4 rolls back in the background while it shuts down.
      return step === 'undo_rollback' && !work.undoEnded && work.undoRowsDone + work.trxRowsDone > 0 ? step : 'shutdown'
    case 'shutdown_completed':
      return 'shutdown'
    default:
      return step
  }
}

/** Whether the coordinator may begin this step in this phase. */
export const isStepOf = (step: Step, phase: Phase | null): boolean =>
  phase !== null && phase in STEPS && (STEPS[phase as keyof typeof STEPS] as readonly Step[]).includes(step)
