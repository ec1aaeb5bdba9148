import { closeSync, constants, fchownSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { liesIn } from '../../process/file-system.ts'
import { giveFile, giveTree } from '../../process/give-tree.ts'
import type { Plan } from '../plan/plan.ts'
import { outsideFiles } from './tablespaces.ts'

/**
 * Gives the datadir, also one that is reached by a link, and all in it to the owner, and the files of tables with DATA
 * DIRECTORY outside it. Of the directories outside, only those go to him that this restore made (`createdParents`).
 */
export async function setOwner(
  datadir: string,
  owner: NonNullable<Plan['owner']>,
  { createdParents = [] as readonly string[], onGiven = () => {} } = {},
): Promise<void> {
  try {
    const outside = await outsideFiles(datadir)
    for (const { name, path } of outside) {
      if (basename(path) !== basename(name))
        throw new Error(`the .isl file of ${name} names ${path}, which is no file of this table`)
      giveFile(path, owner)
    }
    const directories = new Set(outside.map(({ path }) => dirname(path)))
    for (const parent of createdParents)
      if ([...directories].some(directory => liesIn(directory, parent)) && !liesIn(datadir, parent))
        giveDirectory(parent, owner)
    giveTree(realpathSync(datadir), owner, onGiven)
  } catch (cause) {
    throw new RestoreError('ownership_failed', `cannot give ${datadir} to ${owner.name}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/** The directory alone, not what is in it. */
function giveDirectory(path: string, { uid, gid }: NonNullable<Plan['owner']>): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    fchownSync(fd, uid, gid)
  } finally {
    closeSync(fd)
  }
}
