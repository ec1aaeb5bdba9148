import { type Phase, STEPS, type Step } from '../../phases.ts'
import type { Progress } from '../../progress/progress.ts'

/** Phases and steps as a person calls them; logs and JSON keep the stable names of phases.ts. */
export const PHASE_LABELS: Record<Phase, string> = {
  getting_backup_info: 'inspect',
  initiating_binlog_downloads: 'list binlogs',
  restoring_basebackup: 'extract',
  preparing_backup: 'prepare',
  rebuilding_tables: 'rebuild tables',
  refreshing_binlogs: 'refresh binlogs',
  applying_binlogs: 'apply binlogs',
  waiting_for_apply_to_finish: 'wait for apply',
  finalizing: 'finalize',
  completed: 'completed',
  failed: 'failed',
  failed_basebackup: 'failed',
}

export const stepLabel = (step: Step): string => (step === 'move_back' ? 'move-back' : step.replaceAll('_', ' '))

/** The step, if it belongs to the phase: a step may outlive its phase for one event. */
export const stepOf = (phase: Phase, step: Step | null): Step | null =>
  step !== null && phase in STEPS && (STEPS[phase as keyof typeof STEPS] as readonly Step[]).includes(step)
    ? step
    : null

/** What the tool does while nothing is heard of it. `cpu` and `io`: seen to move a moment ago. */
export function activityWords(activity: Progress['activity'], seen: { cpu: boolean; io: boolean }): string {
  switch (activity) {
    case 'dead':
      return 'no CPU, no I/O'
    case 'flooding':
      return 'the tool repeats itself'
    case 'unknown':
      return 'its work cannot be seen from here'
    default:
      if (seen.cpu && seen.io) return 'still using CPU and doing I/O'
      if (seen.cpu) return 'still using CPU'
      if (seen.io) return 'still doing I/O'
      return 'still working'
  }
}

/** What to do about a stall, in three lengths. */
export function stallHint(activity: Progress['activity']): [long: string, shorter: string, shortest: string] {
  switch (activity) {
    case 'dead':
      return [
        'it may hang: look at its processes and the disk, or end it with Ctrl-C',
        'look at its processes and the disk',
        'it may hang',
      ]
    case 'flooding':
      return [
        'it may be short of memory: end it with Ctrl-C and give a larger --use-memory',
        'give a larger --use-memory',
        'short of memory?',
      ]
    case 'unknown':
      return [
        "run restore-agent as the tool's user, or as root, to see whether it works",
        'its processes belong to another user',
        'it may hang',
      ]
    default:
      return [
        'it works but does not get on: look at the disk, or wait',
        'it works but does not get on',
        'it still works',
      ]
  }
}
