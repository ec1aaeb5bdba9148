import type { RestoreOptions } from '../../config/options.ts'
import type { StallThresholds } from '../../progress/progress.ts'

/** `--stall-timeout` is for every step that has no threshold of its own. */
export const stallThresholds = ({
  stallTimeoutMs,
  stallThresholds: byStep,
}: Pick<RestoreOptions, 'stallTimeoutMs' | 'stallThresholds'>): StallThresholds => ({
  ...(stallTimeoutMs !== null && { default: stallTimeoutMs }),
  ...byStep,
})
