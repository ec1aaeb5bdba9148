import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { moveFile } from './move-files.ts'
import { filesUnder } from './survey.ts'

/**
 * What a failed restore takes away again: only what it made itself. A datadir is emptied only where this restore found it
 * absent or empty and began to fill it.
 */
export interface Made {
  /** Directories that did not exist before: target dir, incrementals' dirs. */
  directories: string[]
  /** Set from the moment move-back begins until it has ended well. */
  filling: { datadir: string; existed: boolean } | null
  /** Files of `filling` go back here instead of away: `--in-place` consumed a directory that was not ours. */
  giveBackTo: string | null
}

export const nothingMade = (): Made => ({ directories: [], filling: null, giveBackTo: null })

export async function removeDebris(made: Made): Promise<void> {
  if (made.filling) {
    const { datadir, existed } = made.filling
    if (made.giveBackTo !== null) await giveBack(datadir, made.giveBackTo)
    emptyDirectory(datadir)
    if (!existed && existsSync(datadir)) rmdirSync(datadir)
    made.filling = null
  }
  for (const directory of made.directories.splice(0)) rmSync(directory, { recursive: true, force: true })
}

async function giveBack(datadir: string, source: string): Promise<void> {
  if (!existsSync(datadir)) return
  for await (const path of filesUnder(datadir)) {
    const home = join(source, relative(datadir, path))
    // Still there: the tool was killed between copying it and removing it, so the original is the whole one.
    if (!existsSync(home)) moveFile(path, home)
  }
}

function emptyDirectory(directory: string): void {
  if (!existsSync(directory)) return
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true })
}
