import { closeSync, constants, fchownSync, fstatSync, lchownSync, openSync, readdirSync } from 'node:fs'
import type { UserIds } from './start-tool.ts'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Gives a directory and everything in it to a user. It works through descriptors that do not follow links, so nobody
 * who can rename a directory meanwhile leads it elsewhere (Node has no openat(2); /proc/self/fd/N/name is the same).
 * Links are given away themselves. The top comes last: before that, only its present owner can enter it. `onGiven` is
 * called for each entry.
 */
export function giveTree(path: string | Buffer, user: UserIds, onGiven: () => void = () => {}): void {
  const fd = openSync(path, DIRECTORY)
  try {
    const below = `/proc/self/fd/${fd}`
    for (const entry of readdirSync(below, { withFileTypes: true, encoding: 'buffer' })) {
      const child = Buffer.concat([Buffer.from(`${below}/`), entry.name])
      if (entry.isDirectory()) giveTree(child, user, onGiven)
      else if (entry.isFile()) giveFile(child, user)
      else lchownSync(child, user.uid, user.gid)
      onGiven()
    }
    fchownSync(fd, user.uid, user.gid)
  } finally {
    closeSync(fd)
  }
}

/**
 * Gives one file to a user. A file with another hard link may be anybody's, so it is refused: whoever could write to
 * the directory may have linked a file of root's into it.
 */
export function giveFile(path: string | Buffer, user: UserIds): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { nlink, uid, gid } = fstatSync(fd)
    if (uid === user.uid && gid === user.gid) return
    if (nlink > 1) throw new Error(`${path} has another hard link`)
    fchownSync(fd, user.uid, user.gid)
  } finally {
    closeSync(fd)
  }
}
