import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

/**
 * Reads at most so many bytes from the start of a file. It never blocks: a FIFO without a writer gives none. Throws
 * errors of the system, such as EISDIR.
 */
export function readAtMost(path: string, mostBytes: number): Buffer {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const buffer = Buffer.alloc(Math.min(mostBytes, fstatSync(file).size || mostBytes)) // a device has size 0
    let filled = 0
    for (let read = -1; read !== 0 && filled < buffer.length; filled += read)
      read = readSync(file, buffer, filled, buffer.length - filled, null)
    return buffer.subarray(0, filled)
  } finally {
    closeSync(file)
  }
}

/** The path itself, or its nearest ancestor that exists. */
export function existingAncestor(path: string): string {
  let current = resolve(path)
  while (!existsSync(current)) current = dirname(current)
  return current
}

/** The directories above these paths that do not exist, deepest first. */
export function missingParents(paths: readonly string[]): string[] {
  const missing = new Set<string>()
  for (const path of paths)
    for (let parent = dirname(resolve(path)); !existsSync(parent); parent = dirname(parent)) missing.add(parent)
  return [...missing].sort((a, b) => b.length - a.length)
}

/** Whether `inner` is `outer` or below it, with all links resolved. Neither has to exist. */
export function liesIn(inner: string, outer: string): boolean {
  const [path, root] = [realPathOf(inner), realPathOf(outer)]
  return path === root || path.startsWith(root + sep)
}

function realPathOf(path: string): string {
  const ancestor = existingAncestor(path)
  return join(realpathSync(ancestor), relative(ancestor, resolve(path)))
}

/** Whether rename(2) works between two paths; neither has to exist. */
export const onSameFileSystem = (a: string, b: string): boolean =>
  statSync(existingAncestor(a)).dev === statSync(existingAncestor(b)).dev

export const isMountPoint = (path: string): boolean => existsSync(path) && !onSameFileSystem(path, dirname(path))

/** Bytes that this user can still write at the path. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(existingAncestor(path))
  return bavail * bsize
}

/**
 * Moves one file or directory, across file systems where it must (files only), and makes the directories above it.
 * Interrupted at any time, it can run again: the new name always stands for a whole file.
 */
export function moveFile(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    copyFileSync(from, `${to}.copying`)
    renameSync(`${to}.copying`, to)
    rmSync(from)
  }
}
