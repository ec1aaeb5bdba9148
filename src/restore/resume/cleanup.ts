import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { moveFile } from '../../process/file-system.ts'
import { filesUnder } from '../plan/extracted.ts'
import type { CleanupLedger, PartialDatadir } from '../state/state.ts'

/** Tells a directory from one made later under the same name, which may get the same inode number; null where there is none. */
export function identityOf(directory: string): string | null {
  const stat = statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat?.isDirectory() ? `${stat.ino}:${stat.birthtimeNs}` : null
}

export const isStillOurs = ({ datadir, identity }: PartialDatadir): boolean =>
  identity !== null && identity === identityOf(datadir)

/** Can be done again after it was cut short. */
export async function removeDebris({ created, partialDatadir, returnFilesTo, parents }: CleanupLedger): Promise<void> {
  if (partialDatadir && isStillOurs(partialDatadir)) {
    const { datadir, existed } = partialDatadir
    if (returnFilesTo !== null) await giveBack(datadir, returnFilesTo)
    await emptyDirectory(datadir)
    if (!existed) rmdirSync(datadir)
  }
  for (const directory of created) await rm(directory, { recursive: true, force: true })
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
  for (const name of readdirSync(directory).filter(name => name !== 'lost+found'))
    await rm(join(directory, name), { recursive: true, force: true })
}

/** A directory of ours in which somebody else may have put something meanwhile. */
export function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
