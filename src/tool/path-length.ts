import { RestoreError } from '../errors.ts'

/**
 * mariadb-backup and xtrabackup keep paths in 512 bytes (FN_REFLEN) and cut a longer one off without a word: move-back
 * gives a file a shorter name, and two files the same (mariadb-backup 10.11, tried at 511 and 512 bytes).
 */
const MOST_PATH_BYTES = 511

/** NAME_MAX of Linux' file systems. */
const MOST_NAME_BYTES = 255

/** What the server's own tables and the tools' temporary files need, where the names of files are not known yet. */
const LEAST_NAME_BYTES = 63

/** A path of the tools has room for files below it with names of this length. Throws `path_too_long`. */
export function checkPathLength(path: string, what: 'the datadir' | 'the target dir', longestNameBytes = 0): void {
  const bytes = Buffer.byteLength(path)
  const most = MOST_PATH_BYTES - 1 - Math.max(LEAST_NAME_BYTES, longestNameBytes)
  const hint = { hint: `name a shorter ${what === 'the datadir' ? '--datadir' : '--target-dir'}` }
  if (path.split('/').some(name => Buffer.byteLength(name) > MOST_NAME_BYTES))
    throw new RestoreError(
      'path_too_long',
      `a name on the way to ${what} has over ${MOST_NAME_BYTES} bytes: ${path}`,
      hint,
    )
  if (bytes <= most) return
  throw new RestoreError(
    'path_too_long',
    `${what} has a path of ${bytes} bytes, and the tools take ${most} for this backup: ${path}`,
    hint,
  )
}
