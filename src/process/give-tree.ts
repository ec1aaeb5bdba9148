import { closeSync, constants, fchownSync, lchownSync, openSync, readdirSync } from 'node:fs'
import type { UserIds } from './start-tool.ts'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Gives a directory and everything in it to a user. It works through descriptors that do not follow links, so nobody who can
 * rename a directory meanwhile leads it elsewhere (Node has no openat(2); /proc/self/fd/N/name is the same). Links are given
 * away themselves. The top comes last: before that, only its present owner can enter it. `onGiven` is called for each entry.
 */
export function giveTree(path: string | Buffer, user: UserIds, onGiven: () => void = () => {}): void {
  const fd = openSync(path, DIRECTORY)
  try {
    const below = `/proc/self/fd/${fd}`
    for (const entry of readdirSync(below, { withFileTypes: true, encoding: 'buffer' })) {
      const child = Buffer.concat([Buffer.from(`${below}/`), entry.name])
      if (entry.isDirectory()) giveTree(child, user, onGiven)
      else lchownSync(child, user.uid, user.gid)
      onGiven()
    }
    fchownSync(fd, user.uid, user.gid)
  } finally {
    closeSync(fd)
  }
}
