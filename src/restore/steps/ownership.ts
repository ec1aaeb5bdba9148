import { readFileSync, realpathSync, statSync } from 'node:fs'
import { lchown, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'
import { existingAncestor } from '../plan/prechecks.ts'

/**
 * Who shall own the restored files: `--owner`; else, for root, whoever owns the datadir that is there already, or the
 * folder it will be made in, when that is not root; else nobody is changed (null).
 */
export function plannedOwner(options: RestoreOptions): Plan['owner'] {
  if (options.owner) {
    const { user, group } = options.owner
    const [uid, gid] = [idOf('/etc/passwd', user, 'user'), idOf('/etc/group', group, 'group')]
    if (!mayGive(uid, gid))
      throw new RestoreError('ownership_failed', `this user may not give files to ${user}:${group}`, {
        hint: 'run as root, or leave --owner out',
      })
    return { name: `${user}:${group}`, uid, gid }
  }
  if (process.getuid?.() !== 0) return null
  const { uid, gid } = statSync(existingAncestor(options.datadir))
  return uid === 0 ? null : { name: `${uid}:${gid}`, uid, gid }
}

/** The largest means "leave it" to chown(2). */
const MOST_ID = 0xffff_fffe

/** With CAP_CHOWN, as root has it, everybody; else only to oneself, with a group that one is in. */
function mayGive(uid: number, gid: number): boolean {
  const effective = /^CapEff:\s+([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))
  if ((BigInt(`0x${effective?.[1] ?? '0'}`) & 1n) !== 0n) return true // CAP_CHOWN is bit 0
  return uid === process.geteuid!() && [process.getegid!(), ...process.getgroups!()].includes(gid)
}

function idOf(file: string, name: string, what: string): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) <= MOST_ID) return Number(name)
    throw new RestoreError('ownership_failed', `${name} is no id of a ${what}`, { hint: `ids go from 0 to ${MOST_ID}` })
  }
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
