import { execFileSync, spawnSync } from 'node:child_process'
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
    const uid = idOf('passwd', user)
    const gid = group === null ? primaryGroupOf(user) : idOf('group', group)
    const name = group === null ? user : `${user}:${group}`
    if (!mayGive(uid, gid))
      throw new RestoreError('ownership_failed', `this user may not give files to ${name}`, {
        hint: 'run as root, or leave --owner out',
      })
    return { name, uid, gid }
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

type Database = 'passwd' | 'group'
const WHAT = { passwd: 'user', group: 'group' } as const

function idOf(database: Database, name: string): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) <= MOST_ID) return Number(name)
    throw new RestoreError('ownership_failed', `${name} is not an id of a ${WHAT[database]}`, {
      hint: `ids go from 0 to ${MOST_ID}`,
    })
  }
  const entry = lookUp(database, name)
  if (entry) return Number(entry[2])
  throw new RestoreError('ownership_failed', `there is no ${WHAT[database]} ${name} on this machine`, {
    hint: 'create it, or give --owner with numeric ids',
  })
}

function primaryGroupOf(user: string): number {
  const entry = lookUp('passwd', user)
  if (entry) return Number(entry[3])
  throw new RestoreError('ownership_failed', `the user ${user} has no primary group on this machine`, {
    hint: 'give --owner with a group too, as USER:GROUP',
  })
}

/**
 * The fields of an entry, by name or id; null where there is none. `getent` asks all sources of nsswitch.conf (LDAP,
 * SSSD, systemd); only where it is not installed are the files read.
 */
function lookUp(database: Database, name: string): string[] | null {
  try {
    return execFileSync('getent', [database, name], { encoding: 'utf8', cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')[0]!
      .split(':')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return null
  }
  const entries = readFileSync(`/etc/${database}`, 'utf8').split('\n')
  return entries.map(line => line.split(':')).find(([entry, , id]) => entry === name || id === name) ?? null
}

/**
 * The user that tools run as: under root the owner of the restored files, since root's rights are needed only to give
 * files away. Null is the agent's own user; `reason` says why, where tools keep root's rights although there is an
 * owner.
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
export function userCan(user: NonNullable<Plan['runAs']>, right: '-r' | '-w' | '-x', path: string): boolean {
  const [program, ...args] = [...dropTo(user), 'test', right, path]
  return spawnSync(program!, args, { stdio: 'ignore', env: toolEnv() }).status === 0
}
