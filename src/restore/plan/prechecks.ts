import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { systemError } from '../../process/system-error.ts'

/**
 * What must be true before anything is written. Each check throws the refusal a person can act on, or returns what it found.
 */

/**
 * The datadir is absent or empty, and no process works in it; with `cwd` false one that only stands there, such as a shell,
 * does not count. Returns whether it exists.
 */
export function checkDatadir(datadir: string, { cwd = true } = {}): boolean {
  checkReachable(datadir)
  if (!existsSync(datadir)) {
    if (lstatSync(datadir, { throwIfNoEntry: false }))
      throw new RestoreError('datadir_not_empty', `${datadir} is a link to a directory that does not exist`, {
        hint: 'make that directory, or name another datadir',
      })
    return false
  }
  if (!statSync(datadir).isDirectory())
    throw new RestoreError('datadir_not_empty', `${datadir} is not a directory`, { hint: 'name a directory' })
  const user = processIn(datadir, { cwd })
  if (user) throw new RestoreError('server_running', `process ${user.pid} (${user.name}) works in ${datadir}`)
  const [first] = namesIn(datadir)
  if (first === undefined) return true
  const onMountPoint = first === 'lost+found' // every ext4 has it in its root
  throw new RestoreError('datadir_not_empty', `${datadir} is not empty: it holds ${first}`, {
    ...(onMountPoint && {
      hint: `it is the root of a file system: name a folder in it, such as ${join(datadir, 'data')}`,
    }),
  })
}

/** `existsSync` says no also of what this user cannot look at, and of what can never be made. */
function checkReachable(path: string): void {
  const ancestor = existingAncestor(path)
  if (ancestor !== resolve(path) && !statSync(ancestor).isDirectory())
    throw new RestoreError('usage', `${path} cannot be made: ${ancestor} is not a directory`, {
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

/**
 * A process that has an open file, or unless `cwd` is false its working directory, in `directory`; with `readers` false only
 * files that it may write to count, as a server's do and a virus scanner's do not. Other users' processes are seen as root only.
 */
export function processIn(
  directory: string,
  { cwd = true, readers = true } = {},
): { pid: number; name: string } | null {
  const root = realpathSync(directory)
  const inside = (path: string) => path === root || path.startsWith(root + sep)
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    const links = [...(cwd ? [`/proc/${pid}/cwd`] : []), ...list(`/proc/${pid}/fd`)]
    if (links.some(link => inside(target(link)) && (readers || mayWrite(link))))
      return { pid, name: basename(target(`/proc/${pid}/exe`)) }
  }
  return null
}

/** Of an entry of /proc/<pid>/fd: it was opened with O_WRONLY or O_RDWR. */
const mayWrite = (link: string): boolean => {
  try {
    const info = readFileSync(link.replace('/fd/', '/fdinfo/'), 'latin1')
    const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? '0', 8)
    return (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0
  } catch {
    return false // closed meanwhile
  }
}

const list = (directory: string): string[] => {
  try {
    return readdirSync(directory).map(name => join(directory, name))
  } catch {
    return [] // ended meanwhile, or another user's
  }
}

const target = (link: string): string => {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

/** The target dir is new, so that everything in it is ours to remove. */
export function checkTargetDir(targetDir: string, datadir: string): void {
  if (existsSync(targetDir)) throw new RestoreError('target_not_new', `target dir ${targetDir} exists already`)
  if (liesIn(targetDir, datadir) || liesIn(datadir, targetDir))
    throw new RestoreError('usage', `target dir ${targetDir} and datadir ${datadir} lie within each other`, {
      hint: 'name a --target-dir beside the datadir',
    })
}

/** The path is the other one or below it, wherever links lead. */
function liesIn(inner: string, outer: string): boolean {
  const [path, root] = [realPathOf(inner), realPathOf(outer)]
  return path === root || path.startsWith(root + sep)
}

/** Also of what does not exist yet. */
function realPathOf(path: string): string {
  const ancestor = existingAncestor(path)
  return join(realpathSync(ancestor), relative(ancestor, resolve(path)))
}

/** A directory source holds neither of the places that will be filled: it would be copied, or moved, into itself. */
export function checkOutside(source: string, targetDir: string, datadir: string): void {
  for (const [path, what] of [
    [targetDir, 'target dir'],
    [datadir, 'datadir'],
  ] as const)
    if (path !== source && liesIn(path, source))
      throw new RestoreError('usage', `the ${what} ${path} lies in the source ${source}`, {
        hint: 'name places outside the backup',
      })
}

/** What `--in-place` consumes is that directory's alone: neither a link out of it nor a file that another backup shares. */
export async function checkUnshared(directory: string): Promise<void> {
  for await (const entry of await opendir(directory, { recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const shared = entry.isSymbolicLink() ? 'is a symbolic link' : entry.isFile() && (await isHardLinked(path))
    if (shared)
      throw new RestoreError('usage', `--in-place would change other files too: ${path} ${shared}`, {
        hint: 'leave --in-place out: the backup is copied then',
      })
  }
}

const isHardLinked = async (path: string): Promise<string | false> =>
  (await lstat(path)).nlink > 1 && 'has another name elsewhere (a hard link)'

/** The nearest ancestor that exists (or the path itself). */
export function existingAncestor(path: string): string {
  let current = resolve(path)
  while (!existsSync(current)) current = dirname(current)
  return current
}

/** The folders above these paths that do not exist yet, deepest first. */
export function missingParents(paths: readonly string[]): string[] {
  const missing = new Set<string>()
  for (const path of paths)
    for (let parent = dirname(resolve(path)); !existsSync(parent); parent = dirname(parent)) missing.add(parent)
  return [...missing].sort((a, b) => b.length - a.length)
}

/** The path can be made or written by this user. */
export function checkWritable(path: string, what: string): void {
  checkReachable(path)
  const ancestor = existingAncestor(path)
  try {
    accessSync(ancestor, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new RestoreError('not_permitted', `cannot write ${what} ${path}: no right to write ${ancestor}`, { cause })
  }
}

/** Whether a file can be renamed from one place to the other: same file system. */
export const onSameFileSystem = (a: string, b: string): boolean =>
  statSync(existingAncestor(a)).dev === statSync(existingAncestor(b)).dev

/** Something else is mounted there than in the folder around it. */
export const isMountPoint = (path: string): boolean => existsSync(path) && !onSameFileSystem(path, dirname(path))

/** Bytes that this user can still write at the path. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(existingAncestor(path))
  return bavail * bsize
}

export interface SpaceNeed {
  path: string
  what: string
  /** Null where it is unknown. */
  bytes: number | null
  /** What is needed for certain; 0 where even that is unknown. */
  leastBytes: number
}

/**
 * Compares what is needed in each place with what is free; needs on one file system add up. Where a need is unknown, only the
 * lack of what is certain is a refusal, and a notice tells the rest.
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
