import type { RestoreState } from '../state/state.ts'

/**
 * What is being restored now: the backup asked for, or the older one gone back to. An older one is always copied:
 * `--in-place` gave away the first only.
 */
export const currentOptions = ({ options, backupIndex }: RestoreState): RestoreState['options'] =>
  backupIndex === 0 ? options : { ...options, sources: options.olderBackups[backupIndex - 1]!, inPlace: false }
