import { accessSync, constants, type Stats, statSync } from 'node:fs'
import { RestoreError } from '../errors.ts'

/**
 * Every tool reads the key file itself, and more than once: for a look at the backup's first bytes, for the restore,
 * for another attempt hours later. What can be read only once, such as a shell's `<(pass show key)`, would be empty for
 * all but the first, and a descriptor of ours is not one of theirs. This program reads only libsodium's key itself.
 * Throws `key_missing` or `usage`.
 */
export function checkKeyFile(
  path: string,
  option: '--decrypt-key-file' | '--encryption-key-file' = '--decrypt-key-file',
): void {
  let stats: Stats
  try {
    stats = statSync(path)
    if (stats.isFile()) accessSync(path, constants.R_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new RestoreError('key_missing', `there is no key file ${path}`, { cause })
    throw new RestoreError('not_permitted', `cannot read the key file ${path}: ${(cause as Error).message}`, {
      hint: 'give the user that runs restore-agent the right to read it, or run as root',
      cause,
    })
  }
  if (stats.isFile() && stats.size > LARGEST_KEY_BYTES)
    throw new RestoreError('usage', `${option} ${path} has ${stats.size} bytes: too large for a file of keys`, {
      hint: 'name the file that holds the key',
    })
  if (stats.isFile() && !OF_THIS_PROCESS.test(path)) return
  throw new RestoreError('usage', `${option} ${path} is not a regular file, and a key is read more than once`, {
    hint: 'put the key into a file that only you can read, on a tmpfs if it must not touch a disk: umask 077; pass show x > /dev/shm/key',
  })
}

/** A key of file_key_management takes a line, and there may be thousands. */
const LARGEST_KEY_BYTES = 1 << 20

const OF_THIS_PROCESS = /^\/(dev\/(fd\/|stdin$)|proc\/)/
