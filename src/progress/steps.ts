/** Which step of a prepare an event begins; the other steps are begun by the coordinator. */
import type { Phase, Step } from '../phases.ts'
import { STEPS } from '../phases.ts'
import type { ToolEvent } from '../tool/events.ts'
import type { Redo } from './redo.ts'

export function stepAfter(event: ToolEvent, step: Step | null, redo: Redo): Step | null {
  switch (event.type) {
    case 'delta_apply':
      return 'delta_apply'
    case 'checkpoint':
    case 'multi_batch':
      return redo.scanEnded ? step : 'redo_scan'
    case 'redo_scanned':
      return redo.scanEnded ? 'redo_apply' : 'redo_scan'
    case 'end_of_log':
    case 'pages_left':
    case 'batch_started':
    case 'batch_percent':
      return 'redo_apply'
    case 'batch_completed':
      return 'flush'
    case 'rollback_found':
      // Nothing to undo: the line is printed for transactions to clean up as well.
      return event.rows > 0 ? 'undo_rollback' : step
    case 'rollback_started':
    case 'rollback_percent':
      return 'undo_rollback'
    case 'rollback_completed':
      return 'flush'
    case 'shutdown_started':
    case 'shutdown_completed':
      return 'shutdown'
    default:
      return step
  }
}

/** Whether the coordinator may begin this step in this phase. */
export const isStepOf = (step: Step, phase: Phase | null): boolean =>
  phase !== null && phase in STEPS && (STEPS[phase as keyof typeof STEPS] as readonly Step[]).includes(step)
