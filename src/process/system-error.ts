import { type ErrorCode, RestoreError } from '../errors.ts'

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
  EACCES: 'not_permitted',
  EPERM: 'not_permitted',
  EROFS: 'read_only',
  EIO: 'io_error',
  EMFILE: 'open_files',
  ENFILE: 'open_files',
  EFBIG: 'file_size_limit',
  ENAMETOOLONG: 'path_too_long',
  ENOMEM: 'memory',
  EAGAIN: 'memory', // fork(2): the limit on processes
}

/**
 * A failed system call as a RestoreError; `what` says what failed and where. An errno that is not listed is
 * `internal`.
 */
export function systemError(thrown: unknown, what: string): RestoreError {
  if (thrown instanceof RestoreError) return thrown
  const { code = '', message } = thrown as NodeJS.ErrnoException
  return new RestoreError(CODES[code] ?? 'internal', `${what}: ${message}`, { cause: thrown })
}
