import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { moveFile } from '../../process/file-system.ts'
import { filesUnder } from '../plan/extracted.ts'

/**
 * What a failed restore takes away again: only what it made itself. A datadir is emptied only where this restore found it
 * absent or empty, began to fill it, and it is that very directory still: days may lie between an agent that was killed and the
 * next, in which people help themselves.
 */
export interface Made {
  /** Directories that did not exist before: target dir, incrementals' dirs. */
  readonly directories: readonly string[]
  /** Set from the moment move-back begins. */
  readonly filling: Filling | null
  /** Files of `filling` go back here instead of away: `--in-place` consumed a directory that was not ours. */
  readonly giveBackTo: string | null
  /** Folders above target dir and datadir that were not there at first, deepest first: they go again where they are empty. */
  readonly parents?: readonly string[] | undefined
}

export interface Filling {
  readonly datadir: string
  readonly existed: boolean
  /** Of the directory that is filled; null until it is made. */
  readonly identity: string | null
}

/** Tells a directory from one made later under the same name, which may get the same inode number; null where there is none. */
export function identityOf(directory: string): string | null {
  const stat = statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat?.isDirectory() ? `${stat.ino}:${stat.birthtimeNs}` : null
}

export const isStillOurs = ({ datadir, identity }: Filling): boolean =>
  identity !== null && identity === identityOf(datadir)

export const nothingMade = (): Made => ({ directories: [], filling: null, giveBackTo: null })

/** Can be done again after it was cut short. */
export async function removeDebris({ directories, filling, giveBackTo, parents = [] }: Made): Promise<void> {
  if (filling && isStillOurs(filling)) {
    const { datadir, existed } = filling
    if (giveBackTo !== null) await giveBack(datadir, giveBackTo)
    await emptyDirectory(datadir)
    if (!existed) rmdirSync(datadir)
  }
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
  for (const parent of parents) removeIfEmpty(parent)
}

/**
 * Makes a move-back that was cut short one that the tool can go on with. A file that lies in both places was being copied: the
 * original is the whole one. The tool moves InnoDB's own files at the top without asking whether they are still there, so
 * those go back.
 */
export async function undoHalfMove(datadir: string, targetDir: string): Promise<void> {
  for await (const path of filesUnder(datadir)) {
    const name = relative(datadir, path)
    const home = join(targetDir, name)
    if (existsSync(home)) rmSync(path)
    else if (!name.includes('/')) moveFile(path, home)
  }
}

async function giveBack(datadir: string, source: string): Promise<void> {
  if (!existsSync(datadir)) return
  for await (const path of filesUnder(datadir)) {
    const home = join(source, relative(datadir, path))
    // Still there: the tool was killed between copying it and removing it, so the original is the whole one.
    if (!existsSync(home)) moveFile(path, home)
  }
}

async function emptyDirectory(directory: string): Promise<void> {
  if (!existsSync(directory)) return
  for (const name of readdirSync(directory)) await rm(join(directory, name), { recursive: true, force: true })
}

/** A directory of ours in which somebody else may have put something meanwhile. */
export function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
