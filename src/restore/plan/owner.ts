import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { existingAncestor } from '../../process/file-system.ts'
import { dropTo } from '../../process/start-tool.ts'
import { toolEnv } from '../../process/tool-env.ts'
import type { Plan } from './plan.ts'

/**
 * The owner of the restored files: `--owner`; for root without it, the owner of the datadir, or of the directory that
 * it will be made in, unless that is root. Null: ownership does not change. Throws `ownership_failed`.
 */
export function plannedOwner(options: Pick<RestoreOptions, 'owner' | 'datadir'>): Plan['owner'] {
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

/** chown(2) takes the largest number for "do not change". */
const MOST_ID = 0xffff_fffe

/** CAP_CHOWN, which root has, allows any owner; without it only this user, with a group that it is in. */
function mayGive(uid: number, gid: number): boolean {
  const effective = /^CapEff:\s+([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))
  if ((BigInt(`0x${effective?.[1] ?? '0'}`) & 1n) !== 0n) return true // CAP_CHOWN is bit 0
  return uid === process.geteuid!() && [process.getegid!(), ...process.getgroups!()].includes(gid)
}

function idOf(file: string, name: string, what: string): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) <= MOST_ID) return Number(name)
    throw new RestoreError('ownership_failed', `${name} is not an id of a ${what}`, {
      hint: `ids go from 0 to ${MOST_ID}`,
    })
  }
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find(entry => entry.startsWith(`${name}:`))
  if (line) return Number(line.split(':')[2])
  throw new RestoreError('ownership_failed', `there is no ${what} ${name} on this machine`, {
    hint: `create it, or give --owner with numeric ids`,
  })
}

/**
 * The user that tools run as: under root the owner of the restored files, since root's rights are needed only to give files
 * away. Null is the agent's own user; `reason` says why, where tools keep root's rights although there is an owner.
 */
export function plannedRunAs(
  owner: Plan['owner'],
  needs: { programs: readonly string[]; directories: readonly string[] },
): { runAs: Plan['runAs']; reason: string | null } {
  if (process.getuid?.() !== 0 || owner === null || owner.uid === 0) return { runAs: null, reason: null }
  const runAs = { uid: owner.uid, gid: owner.gid }
  for (const path of [...needs.programs, ...needs.directories])
    if (!userCan(runAs, '-x', path)) return { runAs: null, reason: `${owner.name} cannot reach ${path}` }
  return { runAs, reason: null }
}

/** Asks test(1), run as that user: it knows groups, ACLs and mount options. */
export function userCan(user: NonNullable<Plan['runAs']>, right: '-r' | '-x', path: string): boolean {
  const [program, ...args] = [...dropTo(user), 'test', right, path]
  return spawnSync(program!, args, { stdio: 'ignore', env: toolEnv() }).status === 0
}
