/**
 * One restore at a time in a state directory, also across a crash.
 *
 * flock(1) locks a descriptor it inherits; the lock belongs to the open file, which we keep, and every tool inherits it.
 * So the kernel frees it when the agent and all its tools are gone, not before, and nobody needs to clean up. The same
 * inode open in /proc/<pid>/fd is the mark of a process of ours. The file is never removed: whoever finds that another
 * inode has its name tries again.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { RestoreError } from '../errors.ts'
import { listPids, readProcStat, unlessGone, unlessGoneOrHidden } from './proc-stat.ts'
import { systemError } from './system-error.ts'

export interface LockFile {
  path: string
  dev: bigint
  ino: bigint
}

export interface Lock extends LockFile {
  /** For the tools to inherit. */
  fd: number
  /** Lets go of it here; it stays held until the tools that inherited it are gone. */
  release(): void
}

export interface LockHolder {
  pid: number
  pgid: number
  startTicks: number
  command: string
}

/** What Node calls its main thread, by version; of programs that hold our locks the agent alone is Node's. */
const AGENTS: ReadonlySet<string> = new Set(['node', 'MainThread'])

const BUSY = 1 // flock(1) -n

const DIRECTORY_HINT = 'another restore goes into this directory: wait for it, or name another one'

/** Takes the lock or throws `locked`, naming who has it. Blocks for about 10 ms. */
export function acquireLock(path: string): Lock {
  for (;;) {
    const fd = openLockFile(path)
    try {
      if (!tryLock(fd)) throw new RestoreError('locked', `${path} is held by ${describe(lockHolders(path))}`)
      const { dev, ino } = fstatSync(fd, { bigint: true })
      const named = statSync(path, { bigint: true, throwIfNoEntry: false })
      if (named?.dev === dev && named.ino === ino) return { path, fd, dev, ino, release: () => closeSync(fd) }
    } catch (error) {
      closeSync(fd)
      throw systemError(error, `cannot lock ${path}`)
    }
    closeSync(fd)
  }
}

/**
 * Holds a directory against other agents, whatever their state dirs, until `release` or the end of this process; tools do
 * not inherit it, and whoever does not ask for it is not disturbed. Null where it cannot be had: a file system without such locks, a
 * directory that this user may not read or that is gone. Throws `locked`, naming who has it.
 */
export function lockDirectory(path: string): Lock | null {
  const fd = openIfPossible(path)
  if (fd === null) return null
  const { status } = flock(fd)
  if (status === 0) {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return { path, fd, dev, ino, release: () => closeSync(fd) }
  }
  closeSync(fd)
  if (status !== BUSY) return null
  const holders = describe(lockHolders(realpathSync(path)))
  throw new RestoreError('locked', `${path} is held by ${holders}`, { hint: DIRECTORY_HINT })
}

function openIfPossible(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    return null
  }
}

/**
 * The other processes that have the lock file open: tools of an agent that is gone, or another agent. Those of another user
 * are visible to root only, those of another container to nobody: it can be held while this is empty.
 */
export function lockHolders(path: string): LockHolder[] {
  const named = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (named === undefined) return []
  const file = { path, dev: named.dev, ino: named.ino }
  return listPids()
    .filter(pid => pid !== process.pid && hasOpen(pid, file))
    .flatMap(pid => readProcStat(pid) ?? [])
    .map(({ pid, pgid, startTicks, command }) => ({ pid, pgid, startTicks, command }))
}

/** Looks at the name of a descriptor's file first: to stat a file on a dead network mount would hang us. */
export function hasOpen(pid: number, file: LockFile): boolean {
  const folder = `/proc/${pid}/fd`
  const name = `/${basename(file.path)}`
  return (unlessGoneOrHidden(() => readdirSync(folder)) ?? []).some(fd => {
    const target = unlessGoneOrHidden(() => readlinkSync(`${folder}/${fd}`))?.replace(/ \(deleted\)$/, '')
    if (!target?.endsWith(name)) return false
    const stat = unlessGone(() => statSync(`${folder}/${fd}`, { bigint: true }))
    return stat?.dev === file.dev && stat.ino === file.ino
  })
}

function openLockFile(path: string): number {
  try {
    return openSync(path, 'a+', 0o600)
  } catch (error) {
    throw systemError(error, `cannot open the lock ${path}`)
  }
}

function tryLock(fd: number): boolean {
  const { error, status, stderr } = flock(fd)
  if (error) throw new RestoreError('tool_missing', `cannot run flock: ${error.message}`, { cause: error })
  if (status !== 0 && status !== BUSY) throw new RestoreError('internal', `flock failed: ${String(stderr).trim()}`)
  return status === 0
}

const flock = (fd: number) => spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'pipe', fd] })

function describe(holders: readonly LockHolder[]): string {
  if (holders.length === 0) return 'a process that cannot be seen from here (another user or container)'
  return holders.map(({ command, pid }) => `${AGENTS.has(command) ? 'restore-agent' : command} (pid ${pid})`).join(', ')
}
