import { realpathSync } from 'node:fs'
import { lchown, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'

/** Gives the datadir, also one that is reached by a link, and all in it to the owner; links in it themselves, never what they point at. */
export async function setOwner(datadir: string, owner: NonNullable<Plan['owner']>): Promise<void> {
  try {
    await chownTree(realpathSync(datadir), owner.uid, owner.gid)
  } catch (cause) {
    throw new RestoreError('ownership_failed', `cannot give ${datadir} to ${owner.name}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

async function chownTree(path: string, uid: number, gid: number): Promise<void> {
  await lchown(path, uid, gid)
  for await (const entry of await opendir(path)) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) await chownTree(child, uid, gid)
    else await lchown(child, uid, gid)
  }
}
