/**
 * Phases of a restore (MyHoard's names, in its order) and the steps of two of them. Dashboards, alerts and scripts
 * depend on these strings.
 */
export const PHASES = [
  'getting_backup_info',
  'initiating_binlog_downloads',
  'restoring_basebackup',
  'preparing_backup',
  'rebuilding_tables',
  'refreshing_binlogs',
  'applying_binlogs',
  'waiting_for_apply_to_finish',
  'finalizing',
  'completed',
  'failed',
  'failed_basebackup',
] as const
export type Phase = (typeof PHASES)[number]

/** Phases that end a restore; nothing follows them. */
export const TERMINAL_PHASES: readonly Phase[] = ['completed', 'failed', 'failed_basebackup']

export const STEPS = {
  preparing_backup: ['delta_apply', 'redo_scan', 'redo_apply', 'undo_rollback', 'flush', 'shutdown', 'move_back'],
  finalizing: ['verify', 'ownership', 'start_check'],
} as const
export type Step = (typeof STEPS)[keyof typeof STEPS][number]

/** Outcome of the whole restore, as `restore.status` reports it. */
export const RESTORE_STATUSES = ['running', 'succeeded', 'failed', 'cancelled'] as const
export type RestoreStatus = (typeof RESTORE_STATUSES)[number]
