import { RestoreError } from '../../src/errors.ts'

/** The RestoreError that `work` throws; fails when it throws none. */
export function thrownBy(work: () => unknown): RestoreError {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof RestoreError) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}
