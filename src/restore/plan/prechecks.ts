import { accessSync, constants, existsSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes, formatFirst, printable } from '../../format.ts'
import { existingAncestor, freeBytes, liesIn } from '../../process/file-system.ts'
import { processIn } from '../../process/process-in.ts'
import { systemError } from '../../process/system-error.ts'
import { localPathOf } from '../../source/source-ref.ts'
import type { Plan } from './plan.ts'

/** Checks before anything is written. Each throws an error that a person can act on, or returns what it found. */

/**
 * The datadir is absent or empty, and no process has a file in it open. A shell that stands in it does not count, nor
 * does `lost+found`, which each ext4 file system has in its root. Returns whether the datadir exists.
 */
export function checkDatadir(datadir: string): boolean {
  checkReachable(datadir)
  if (!existsSync(datadir)) {
    if (lstatSync(datadir, { throwIfNoEntry: false }))
      throw new RestoreError('datadir_not_empty', `${datadir} is a link to a directory that does not exist`, {
        hint: 'create that directory, or name another datadir',
      })
    return false
  }
  if (!statSync(datadir).isDirectory())
    throw new RestoreError('datadir_not_empty', `${datadir} is not a directory`, { hint: 'name a directory' })
  const user = processIn(datadir)
  if (user) throw new RestoreError('server_running', `process ${user.pid} (${user.name}) uses ${datadir}`)
  const first = namesIn(datadir).find(name => name !== 'lost+found')
  if (first === undefined) return true
  throw new RestoreError('datadir_not_empty', `${datadir} is not empty: it holds ${first}`)
}

/**
 * Refuses paths for which `existsSync` says false although they are not simply absent: no permission to look, or a file
 * where a directory is needed.
 */
function checkReachable(path: string): void {
  const ancestor = existingAncestor(path)
  if (ancestor !== resolve(path) && !statSync(ancestor).isDirectory())
    throw new RestoreError('usage', `${path} cannot exist: ${ancestor} is not a directory`, {
      hint: 'name another path',
    })
  try {
    lstatSync(path, { throwIfNoEntry: false })
  } catch (cause) {
    throw systemError(cause, `cannot look at ${path}`)
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (cause) {
    throw systemError(cause, `cannot look into ${directory}`)
  }
}

/** The target dir is new, so that the restore may remove everything in it. */
export function checkTargetDir(targetDir: string, datadir: string): void {
  if (existsSync(targetDir)) throw new RestoreError('target_not_new', `target dir ${targetDir} exists already`)
  if (liesIn(targetDir, datadir) || liesIn(datadir, targetDir))
    throw new RestoreError('usage', `target dir ${targetDir} and datadir ${datadir} must not contain each other`, {
      hint: 'name a --target-dir beside the datadir',
    })
}

/** Neither target dir nor datadir is inside a directory source, which would be copied or moved into itself. */
export function checkOutside(source: string, targetDir: string, datadir: string): void {
  for (const [path, what] of [
    [targetDir, 'target dir'],
    [datadir, 'datadir'],
  ] as const)
    if (path !== source && liesIn(path, source))
      throw new RestoreError('usage', `the ${what} ${path} is inside the source ${source}`, {
        hint: 'name directories outside the backup',
      })
}

/**
 * The state dir lies in no directory that is restored, filled or removed. Called before it is made. Throws `usage`.
 */
export function checkStateDirPlace({
  stateDir,
  datadir,
  targetDir,
  sources,
}: Pick<RestoreOptions, 'stateDir' | 'datadir' | 'targetDir' | 'sources'>): void {
  const places = [
    [datadir, 'datadir'],
    [targetDir, 'target dir'],
    ...sources.map(ref => [localPathOf(ref), 'source'] as const),
  ] as const
  for (const [path, what] of places)
    if (path !== null && liesIn(stateDir, path))
      throw new RestoreError('usage', `the state dir ${stateDir} is inside the ${what} ${path}`, {
        hint: 'name another --state-dir',
      })
}

/** The directory that `--in-place` changes shares no file with others: no symbolic links, no hard links. */
export async function checkUnshared(directory: string): Promise<void> {
  for await (const entry of await opendir(directory, { recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const shared = entry.isSymbolicLink() ? 'is a symbolic link' : entry.isFile() && (await isHardLinked(path))
    if (shared)
      throw new RestoreError('usage', `--in-place would change other files too: ${path} ${shared}`, {
        hint: 'leave --in-place out, so that the backup is copied',
      })
  }
}

const isHardLinked = async (path: string): Promise<string | false> =>
  (await lstat(path)).nlink > 1 && 'has another hard link'

/** This user can create the path, or write to it. */
export function checkWritable(path: string, what: string): void {
  checkReachable(path)
  const ancestor = existingAncestor(path)
  try {
    accessSync(ancestor, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const error = systemError(cause, `cannot write ${what} ${path}`)
    if (error.code !== 'not_permitted') throw error
    throw new RestoreError('not_permitted', `cannot write ${what} ${path}: no permission to write to ${ancestor}`, {
      cause,
      ...(process.geteuid?.() === 0 && { hint: 'root may not either: see lsattr, mount options and root_squash' }),
    })
  }
}

/** A table's file that lies outside the datadir. */
export interface OutsideFile {
  /** The file of the backup that says so. */
  name: string
  path: string
}

/**
 * Tables outside the datadir are written only with --allow-outside, and never over a file that exists. Inside it they
 * are like any other. Throws `outside_refused`, `datadir_not_empty`, `not_permitted`.
 */
export function checkOutsideFiles(
  files: readonly OutsideFile[],
  { datadir, targetDir }: Pick<Plan, 'datadir' | 'targetDir'>,
  { allowOutside, stateDir }: Pick<RestoreOptions, 'allowOutside' | 'stateDir'>,
): void {
  const odd = files.find(({ path }) => resolve(path) !== path || /[\u0000-\u001f]/.test(path))
  if (odd)
    throw new RestoreError('outside_refused', `${odd.name} does not name an absolute path: ${printable(odd.path)}`)
  const outside = files.filter(({ path }) => !liesIn(path, datadir))
  if (outside.length === 0) return
  const names = formatFirst(outside.map(({ path }) => printable(path)))
  if (!allowOutside) throw new RestoreError('outside_refused', `the backup has tables outside of the datadir: ${names}`)
  for (const { path } of outside) {
    if (lstatSync(path, { throwIfNoEntry: false }))
      throw new RestoreError('datadir_not_empty', `${path}, where the backup has a table, exists already`, {
        hint: 'restore-agent never overwrites data: move this file away',
      })
    if (liesIn(path, targetDir) || liesIn(path, stateDir))
      throw new RestoreError('outside_refused', `${path} is inside a directory of this restore`)
    checkWritable(path, 'a table outside of the datadir')
  }
}

/**
 * For root: no local user, except the one that tools run as, may rename or replace a directory on the way to these
 * paths; otherwise that user could direct root's work elsewhere. In a sticky directory such as /tmp, entries of root
 * and of that user are safe. Throws `unsafe_path`.
 */
export function checkSafePaths(paths: readonly string[], runAs: Plan['runAs']): void {
  if (process.geteuid?.() !== 0) return
  for (const path of paths) {
    checkReachable(path)
    const danger = dangerOf(resolve(path), new Set([0, runAs?.uid]), new Set([0, runAs?.gid]))
    if (danger !== null) throw new RestoreError('unsafe_path', `${path} is not safe from other local users: ${danger}`)
  }
}

/** Follows links as the kernel does, and looks at each directory on the way and at the last one. */
function dangerOf(path: string, uids: ReadonlySet<unknown>, gids: ReadonlySet<unknown>, links = 0): string | null {
  const names = path.split('/').filter(Boolean)
  let current = '/'
  for (const [index, name] of [...names, null].entries()) {
    const stats = lstatSync(current)
    if (!uids.has(stats.uid)) return `user ${stats.uid} owns ${current}`
    const isOpen = (stats.mode & 0o002) !== 0 || ((stats.mode & 0o020) !== 0 && !gids.has(stats.gid))
    if (isOpen && (stats.mode & 0o1000) === 0) return `others may write to ${current}`
    if (name === null) return null
    const next = join(current, name)
    const entry = lstatSync(next, { throwIfNoEntry: false })
    if (entry === undefined) return null
    if (entry.isSymbolicLink()) {
      // A link of the owner is refused too: it could point to a directory that only root may enter.
      if (entry.uid !== 0) return `user ${entry.uid} owns the link ${next}`
      if (links > 40) return `${next} is a link to itself`
      return dangerOf(resolve(current, readlinkSync(next), ...names.slice(index + 1)), uids, gids, links + 1)
    }
    current = next
  }
  return null
}

export interface SpaceNeed {
  path: string
  what: string
  /** Null where it is unknown. */
  bytes: number | null
  /** The least that is needed; 0 where unknown. */
  leastBytes: number
}

/**
 * Compares the space needed on each file system with its free space. Where a need is unknown, its lower bound counts
 * and a notice says so. Throws `disk_space`.
 */
export function checkSpace(needs: readonly SpaceNeed[]): string[] {
  const notices: string[] = []
  const byDevice = new Map<number, { path: string; what: string[]; bytes: number; isLeast: boolean }>()
  for (const { path, what, bytes, leastBytes } of needs) {
    if (bytes === null)
      notices.push(
        `the size of the extracted backup is unknown; ${formatBytes(freeBytes(path))} are free for ${what} ${path}`,
      )
    const device = statSync(existingAncestor(path)).dev
    const sum = byDevice.get(device) ?? { path, what: [], bytes: 0, isLeast: false }
    byDevice.set(device, {
      path: sum.path,
      what: [...sum.what, what],
      bytes: sum.bytes + (bytes ?? leastBytes),
      isLeast: sum.isLeast || bytes === null,
    })
  }
  for (const { path, what, bytes, isLeast } of byDevice.values()) {
    const free = freeBytes(path)
    if (free < bytes)
      throw new RestoreError(
        'disk_space',
        `${what.join(' and ')} at ${path} need ${isLeast ? 'at least ' : ''}${formatBytes(bytes)}, ${formatBytes(free)} are free`,
      )
  }
  return notices
}
