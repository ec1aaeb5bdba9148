import { closeSync, constants, fchmodSync, fstatSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants

/**
 * Gives a copy the modes of its source, with the rights that a tool needs: the owner may read and write every file.
 * Other users may write nothing: mariadb-backup ignores a backup-my.cnf that everybody may write, and other users could
 * change the data.
 */
export function setCopiedModes(source: string, copy: string): void {
  const fd = openSync(copy, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    const isDirectory = fstatSync(fd).isDirectory()
    const below = `/proc/self/fd/${fd}`
    const own = isDirectory ? 0o700 : 0o600
    fchmodSync(fd, (statSync(source).mode & 0o775) | own)
    if (!isDirectory) return
    for (const { name } of readdirSync(below, { withFileTypes: true }))
      setCopiedModes(join(source, name), join(below, name))
  } finally {
    closeSync(fd)
  }
}

/** fsck creates it in the root of a file system; it is no part of a backup. */
export const removeLostAndFound = (copy: string): void =>
  rmSync(join(copy, 'lost+found'), { recursive: true, force: true })
