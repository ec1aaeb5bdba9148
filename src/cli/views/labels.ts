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

/** What a quiet tool is doing. `cpu` and `io`: whether they increased recently. */
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

type Transfer = NonNullable<RestoreBody['source_transfer']>

/** What the transfer of the source's bytes waits for; null while nobody knows. */
export function waitLabel({ waits_for, waits }: Transfer): string | null {
  if (waits_for === null || waits === null) return null
  if (waits_for === 'limit') return 'held by --max-bandwidth'
  return `waits for the ${waits_for} ${waits[waits_for]} %`
}

const ORDINAL_ENDINGS: Readonly<Record<string, string>> = { one: 'st', two: 'nd', few: 'rd', other: 'th' }
const ordinalRule = new Intl.PluralRules('en', { type: 'ordinal' })

/** `retrying after reset, 3rd time`. */
export const retryLabel = ({ error_type, times }: NonNullable<Transfer['retrying']>): string =>
  `retrying after ${error_type}, ${times}${ORDINAL_ENDINGS[ordinalRule.select(times)]} time`

/** What to do about a stall, in three lengths. */
export function stallHint({
  progress: { activity },
  source_transfer,
}: Pick<RestoreBody, 'progress' | 'source_transfer'>): [long: string, shorter: string, shortest: string] {
  if (source_transfer?.waits_for === 'network')
    return [
      'the tool waits for the network: look at the server of the source, and the way to it',
      'the tool waits for the network',
      'no bytes come',
    ]
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
