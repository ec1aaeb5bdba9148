import { copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Moves one file or directory, across file systems where it must (files only); makes the folders on the way. Cut short at
 * any time, it can be done again: the new name stands for a whole file.
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
