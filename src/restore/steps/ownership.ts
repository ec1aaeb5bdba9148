import { readFileSync, realpathSync, statSync } from 'node:fs'
import { lchown, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import type { Plan } from '../plan.ts'
import { existingAncestor } from '../prechecks.ts'

/**
 * Who shall own the restored files: `--owner`; else, for root, whoever owns the datadir that is there already, or the
 * folder it will be made in, when that is not root; else nobody is changed (null).
 */
export function plannedOwner(options: RestoreOptions): Plan['owner'] {
  if (options.owner) {
    const { user, group } = options.owner
    return { name: `${user}:${group}`, uid: idOf('/etc/passwd', user, 'user'), gid: idOf('/etc/group', group, 'group') }
  }
  if (process.getuid?.() !== 0) return null
  const { uid, gid } = statSync(existingAncestor(options.datadir))
  return uid === 0 ? null : { name: `${uid}:${gid}`, uid, gid }
}

function idOf(file: string, name: string, what: string): number {
  if (/^\d+$/.test(name)) return Number(name)
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find(entry => entry.startsWith(`${name}:`))
  if (line) return Number(line.split(':')[2])
  throw new RestoreError('ownership_failed', `there is no ${what} ${name} on this machine`, {
    hint: `create it, or give --owner with numeric ids`,
  })
}

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
