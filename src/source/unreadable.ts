import { RestoreError } from '../errors.ts'

/** A failed system call on a source as `source_missing` or `source_unreadable`. */
export function unreadable(name: string, thrown: unknown): RestoreError {
  if (thrown instanceof RestoreError) return thrown
  const { code, message } = thrown as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new RestoreError('source_missing', `there is no ${name}`, { cause: thrown })
  }
  return new RestoreError('source_unreadable', `cannot read ${name}: ${message}`, { cause: thrown })
}
