import { copyFileSync, existsSync, mkdirSync, realpathSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

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

/** Whether rename(2) works between two paths, which may not exist yet. */
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
