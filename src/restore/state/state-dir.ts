import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { existingAncestor, freeBytes } from '../../process/file-system.ts'
import { acquireLock, createToolLock, type ToolLock } from '../../process/lock.ts'
import { systemError } from '../../process/system-error.ts'
import { checkSavedPaths } from './saved-paths.ts'
import { withoutSent } from './spans.ts'
import type { RestoreState, UnsentSpan } from './state.ts'
import { SCHEMA, stateSchema } from './state-schema.ts'

/** The state dir while this agent holds it. `agent.lock` excludes other agents; tools inherit `lock`. */
export interface StateDir {
  path: string
  toolLock: ToolLock
  /** The state that an earlier agent left; null if there is none. Throws `state_unreadable`. */
  read(): RestoreState | null
  write(state: RestoreState, durable: boolean): void
  release(): void
}

/** Throws `not_permitted`, or `locked` where another agent is at work. */
export function openStateDir(path: string): StateDir {
  ensureStateDir(path)
  const agentLock = acquireLock(join(path, 'agent.lock'))
  const toolLock = createToolLock(join(path, 'lock'))
  const stateFile = join(path, 'state.json')
  const identity = identityOf(path)
  return {
    path,
    toolLock,
    read() {
      const found = readStateFile(stateFile)
      if (found?.status === 'running') checkSavedPaths(found, path)
      return found
    },
    write(state, durable) {
      // If another directory has the name now, this agent's locks are in the old one: the new one belongs to somebody
      // else.
      if (identityOf(path) !== identity) throw goneError(path)
      writeStateFile(stateFile, state, durable)
    },
    release() {
      toolLock.release()
      agentLock.release()
    },
  }
}

const goneError = (path: string): Error =>
  Object.assign(new Error(`${path} was removed or replaced`), {
    code: 'ENOENT',
  } satisfies Partial<NodeJS.ErrnoException>)

function identityOf(path: string): string | null {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat ? `${stat.dev}:${stat.ino}` : null
}

/**
 * Creates the state dir for this user alone. Another user who could write in it could plant links and states and so use
 * this agent's rights; such a directory is refused. Throws `not_permitted`.
 */
export function ensureStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    accessSync(stateDir, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const { code, message } = systemError(cause, `cannot write the state dir ${stateDir}`)
    if (code !== 'internal' && code !== 'not_permitted') throw new RestoreError(code, message, { cause })
    throw new RestoreError('not_permitted', message, {
      hint: 'run as root, or give a --state-dir of your own',
      cause,
    })
  }
  const { uid, mode } = statSync(stateDir)
  const user = process.geteuid?.() ?? uid
  const problem =
    uid !== user ? `belongs to another user (${uid})` : (mode & 0o022) !== 0 ? 'can be written by other users' : null
  if (problem === null) return
  throw new RestoreError('not_permitted', `the state dir ${stateDir} ${problem}`, {
    hint: `give a --state-dir that only this user (${user}) can write: chmod 700, chown`,
  })
}

/**
 * Tools write their stderr to the state dir. On a full disk its end is lost, `completed OK!` included, and a good
 * backup looks as if its prepare had failed.
 */

/** Enough for the state and the output of an ordinary restore. */
export const LEAST_STATE_BYTES = 16 * 1024 * 1024
/** More than the end of any tool's output. */
const PROBE_BYTES = 64 * 1024

/** Throws `disk_space`. */
export function checkStateRoom(stateDir: string): void {
  const free = freeBytes(stateDir)
  if (free >= LEAST_STATE_BYTES) return
  throw new RestoreError(
    'disk_space',
    `the state dir ${stateDir} needs at least ${formatBytes(LEAST_STATE_BYTES)}, ${formatBytes(free)} are free on its file system`,
    { hint: 'free space there, or name another place with --state-dir' },
  )
}

/**
 * The error if nothing can be written to the run dir, so that lines of a tool may be missing; null if it can. It tries
 * a write: root's reserve, a quota or a lack of inodes do not show in the free space.
 */
export function lostWords(runDir: string): RestoreError | null {
  const probe = join(existingAncestor(runDir), 'room.tmp')
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600, flush: true })
    return null
  } catch (thrown) {
    const error = systemError(thrown, `cannot write the state dir: nothing can be written to ${runDir}`)
    return new RestoreError(error.code, error.message, {
      hint: "free space there, or name another place with --state-dir: the tools' last words are lost, the backup is not at fault",
      cause: thrown,
    })
  } finally {
    rmSync(probe, { force: true })
  }
}

/**
 * state.json, with a version of its schema. Fields that an older agent did not write get their defaults. A file with a
 * newer schema is refused: resuming from a state that is only half understood could cost the data.
 */

/** A chain of hundreds of incrementals with their delta files takes a few MiB. */
const LARGEST_BYTES = 256 * 1024 * 1024

/**
 * The state in the file; null where there is none yet. Throws `state_unreadable`, naming the file and what is wrong
 * with it.
 */
export function readStateFile(path: string): RestoreState | null {
  let content: string
  try {
    content = readOwnFile(path)
  } catch (error) {
    if (error instanceof RestoreError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new RestoreError('state_unreadable', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
  return parseState(content, path)
}

/** Signals, removals and commands follow from its content: a file that another user could have written is refused. */
export function readOwnFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW) // a FIFO would block
  try {
    const stats = fstatSync(file)
    const refuse = (why: string) => new RestoreError('state_unreadable', `${path} ${why}`)
    if (!stats.isFile()) throw refuse('is not a regular file')
    if (stats.uid !== 0 && stats.uid !== process.getuid?.()) throw refuse(`belongs to another user (${stats.uid})`)
    if ((stats.mode & 0o022) !== 0) throw refuse('can be written by other users')
    if (stats.size > LARGEST_BYTES) throw refuse(`has ${stats.size} bytes`)
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

/** Throws `state_unreadable`. */
export function parseState(content: string, path: string): RestoreState {
  let json: unknown
  try {
    json = JSON.parse(content)
  } catch {
    throw new RestoreError('state_unreadable', `${path} is not JSON`)
  }
  const { schema } = Object(json) as { schema?: unknown }
  if (typeof schema === 'number' && schema !== SCHEMA)
    throw new RestoreError('state_unreadable', `${path} has schema ${schema}, this restore-agent knows ${SCHEMA}`, {
      hint:
        schema > SCHEMA
          ? 'a newer restore-agent wrote it: use that version'
          : 'an older restore-agent wrote it: finish the restore with that version, or give another --state-dir',
    })
  const parsed = stateSchema.safeParse(json)
  if (parsed.success) return { ...parsed.data, endedSpans: [] }
  const [issue] = parsed.error.issues
  throw new RestoreError('state_unreadable', `${path}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`)
}

/** Atomic: a reader sees the old state or the new one, whole; with `durable`, also after a power cut. */
export function writeStateFile(path: string, state: RestoreState, durable: boolean): void {
  const { endedSpans: _transient, ...persisted } = state
  const temporary = `${path}.tmp`
  // O_EXCL creates the file or fails: a link that another user planted is never followed.
  rmSync(temporary, { force: true })
  const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    writeFileSync(file, JSON.stringify(persisted))
    if (durable) fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  if (durable) syncDirectory(dirname(path))
}

export function syncDirectory(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/**
 * The unsent spans of an ended restore: the next restore carries them over, and `serve` and `status` on the same state
 * dir export them.
 */

/**
 * Spans of an ended restore whose export no backend acknowledged. Empty for a running restore and for an unreadable
 * state.
 */
export function leftSpans(stateDir: string): readonly UnsentSpan[] {
  try {
    const found = readStateFile(join(stateDir, 'state.json'))
    return found === null || found.status === 'running' ? [] : found.unsentSpans
  } catch {
    // The command that needs this state reports what is wrong with it.
    return []
  }
}

/**
 * Removes acknowledged spans from the state of an ended restore. If a later restore holds the state dir, it has its own
 * copy.
 */
export function forgetSent(stateDir: string, ids: readonly string[]): void {
  if (!leftSpans(stateDir).some(({ id }) => ids.includes(id))) return
  let held: StateDir
  try {
    held = openStateDir(stateDir)
  } catch (error) {
    if (error instanceof RestoreError && error.code === 'locked') return
    throw error
  }
  try {
    const found = held.read()
    if (found !== null && found.status !== 'running') held.write(withoutSent(found, ids), false)
  } finally {
    held.release()
  }
}
