import type { WorkFacts } from '../../progress/progress.ts'
import type { Plan } from '../plan/plan.ts'

/** What the estimator may know of one element of the plan (position from 1). */
export function factsOf(plan: Plan, position: number): WorkFacts {
  const element = plan.elements[position - 1]!
  const { description, extracted } = element
  const last = position === plan.elements.length
  const has = (kind: string) => plan.steps.some(step => step.kind === kind && step.element === position)
  return {
    tool: plan.tool.family,
    toolVersion: plan.tool.version,
    sourceBytes: description.storedBytes,
    chainBytes: plan.elements.map(one => one.description.storedBytes),
    fromLsn: description.fromLsn,
    toLsn: description.toLsn,
    lastLsn: description.lastLsn,
    redoMemoryBytes: description.redoMemoryBytes,
    redoFrames: description.redoFrames,
    redoBytes: extracted?.redoBytes ?? null,
    dataFileBytes: extracted?.dataFileBytes ?? description.dataBytes,
    deltaFiles: extracted && description.kind === 'incremental' ? extracted.deltaFiles : null,
    memoryBytes: plan.memory?.bytes ?? null,
    moveBackFiles: last ? (plan.moveBack?.files ?? null) : null,
    moveBackCopyBytes: last ? (plan.moveBack?.copyBytes ?? null) : null,
    hasPrepare: has('prepare'),
    hasMoveBack: has('move_back'),
    hasStartCheck: has('start_check'),
  }
}
