/**
 * One restore at a time in a state directory, also across a crash.
 *
 * flock(1) locks a descriptor that it inherits. The lock belongs to the open file: the agent keeps it open and every
 * tool inherits it, so the kernel frees the lock when the agent and all its tools are gone. A process is ours if it
 * has this inode open in /proc/<pid>/fd. Nobody removes the file; whoever locked it and then finds another inode
 * under its name tries again.
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
  /** Tools inherit it. */
  fd: number
  /** Closes it here. The lock stays held until the tools that inherited it are gone. */
  release(): void
}

export interface LockHolder {
  pid: number
  pgid: number
  startTicks: number
  command: string
}

/** Names of Node's main thread, by version: of the programs that hold these locks only the agent runs on Node. */
const AGENTS: ReadonlySet<string> = new Set(['node', 'MainThread'])

const BUSY = 1 // flock(1) -n

const DIRECTORY_HINT = 'another restore writes to this directory: wait for it, or name another directory'

/** After a release the number may belong to another descriptor: closing it twice would close that one. */
function heldLock(file: LockFile, fd: number): Lock {
  let isHeld = true
  return {
    ...file,
    fd,
    release() {
      if (isHeld) closeSync(fd)
      isHeld = false
    },
  }
}

/** Takes the lock, or throws `locked` with its holder's name. Blocks for about 10 ms. */
export function acquireLock(path: string): Lock {
  for (;;) {
    const fd = openLockFile(path)
    try {
      if (!tryLock(fd)) throw new RestoreError('locked', `${path} is held by ${describe(lockHolders(path))}`)
      const { dev, ino } = fstatSync(fd, { bigint: true })
      const named = statSync(path, { bigint: true, throwIfNoEntry: false })
      if (named?.dev === dev && named.ino === ino) return heldLock({ path, dev, ino }, fd)
    } catch (error) {
      closeSync(fd)
      throw systemError(error, `cannot lock ${path}`)
    }
    closeSync(fd)
  }
}

/**
 * The lock that every tool inherits: held while one of them lives, also without an agent. It is taken when the first
 * tool starts; an agent that adopts tools finds it held by them.
 */
export interface ToolLock {
  /** For tools to inherit. Throws `locked` while others hold it. */
  fd(): number
  /** Proves that a process is ours. */
  file(): LockFile | undefined
  release(): void
}

export function createToolLock(path: string): ToolLock {
  let lock: Lock | null = null
  return {
    fd() {
      lock ??= acquireLock(path)
      return lock.fd
    },
    file: () => lockFileOf(path),
    release() {
      lock?.release()
      lock = null
    },
  }
}

function lockFileOf(path: string): LockFile | undefined {
  const named = statSync(path, { bigint: true, throwIfNoEntry: false })
  return named && { path, dev: named.dev, ino: named.ino }
}

/**
 * Locks a directory against other agents, whatever their state dirs, until `release` or the end of this process.
 * Tools do not inherit the lock. Null where a lock is not possible: the file system has none, this user may not read
 * the directory, or it is gone. Throws `locked` with the holder's name.
 */
export function lockDirectory(path: string): Lock | null {
  const fd = openIfPossible(path)
  if (fd === null) return null
  const { status } = flock(fd)
  if (status === 0) {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return heldLock({ path, dev, ino }, fd)
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
 * The other processes that have the lock file open: tools of an agent that is gone, or another agent. Only root sees
 * those of another user, nobody those of another container: the lock can be held while this is empty.
 */
export function lockHolders(path: string): LockHolder[] {
  const file = lockFileOf(path)
  if (file === undefined) return []
  return listPids()
    .filter(pid => pid !== process.pid && hasOpen(pid, file))
    .flatMap(pid => readProcStat(pid) ?? [])
    .map(({ pid, pgid, startTicks, command }) => ({ pid, pgid, startTicks, command }))
}

/** Compares the name first: to stat a file on a dead network mount would hang this process. */
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
    return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
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
  if (holders.length === 0) return 'a process of another user or container, which is not visible here'
  return holders.map(({ command, pid }) => `${AGENTS.has(command) ? 'restore-agent' : command} (pid ${pid})`).join(', ')
}
