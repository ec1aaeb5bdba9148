import type { Phase, Step } from '../../phases.ts'
import type { RestoreBody } from '../../server/api-schema.ts'

/** Phases and steps as the terminal shows them; logs and JSON use the stable names of phases.ts. */
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

type Activity = RestoreBody['progress']['activity']

/** What a quiet tool does. `cpu` and `io`: whether they increased a moment ago. */
export function activityLabel(activity: Activity, recent: { cpu: boolean; io: boolean }): string {
  switch (activity) {
    case 'dead':
      return 'no CPU, no I/O'
    case 'flooding':
      return 'the tool repeats itself'
    case 'unknown':
      return 'its work cannot be seen from here'
    default:
      if (recent.cpu && recent.io) return 'still using CPU and doing I/O'
      if (recent.cpu) return 'still using CPU'
      if (recent.io) return 'still doing I/O'
      return 'still working'
  }
}

/** What to do about a stall, in three lengths. */
export function stallHint(activity: Activity): [long: string, shorter: string, shortest: string] {
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
