import type { Step } from '../../phases.ts'
import type { AttributeValue, RestoreState, SourceBytes } from './state.ts'

type Attributes = Record<string, AttributeValue>

const known = (values: Record<string, AttributeValue | null>): Attributes =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, AttributeValue] => entry[1] !== null))

/** What the phase moved. */
export function phaseAttributes({ phase, source, redo }: RestoreState): Attributes {
  if (phase === 'restoring_basebackup') return sourceAttributes(source)
  if (phase !== 'preparing_backup') return {}
  return known({
    'restore.prepare.redo.scanned': redo.scannedLsn,
    'restore.prepare.redo.applied': redo.appliedLsn,
    'restore.prepare.redo.target': redo.targetLsn,
  })
}

/** What was read of an element, in front or ahead. */
export const sourceAttributes = (source: SourceBytes | null): Attributes =>
  source === null ? {} : known({ 'restore.source.read': source.readBytes, 'restore.source.size': source.totalBytes })

/** Tools name files between the steps too: those they copy when the database is shut down. */
const FILE_STEPS: readonly Step[] = ['delta_apply', 'move_back']

/** What the step did. */
export function stepAttributes({ step, work, redo }: RestoreState): Attributes {
  return known({
    'restore.step.pages': work.pages || null,
    'restore.step.rows': work.rows || null,
    'restore.step.files': step !== null && FILE_STEPS.includes(step) ? work.files || null : null,
    'restore.prepare.redo.scanned': step === 'redo_scan' ? redo.scannedLsn : null,
    'restore.prepare.redo.applied': step === 'redo_apply' ? redo.appliedLsn : null,
  })
}
