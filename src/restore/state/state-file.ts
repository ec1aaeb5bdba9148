import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { RestoreError } from '../../errors.ts'
import type { RestoreState } from './state.ts'
import { SCHEMA, stateSchema } from './state-schema.ts'

/**
 * state.json: what a later agent must find. Its schema has a version. What an older agent did not write yet is filled in
 * with what it would have been; what a newer one wrote is refused, because going on with it half understood could cost
 * the data.
 */

/** A chain of hundreds of elements and their deltas has a few of them. */
const LARGEST_BYTES = 256 * 1024 * 1024

/** The state in the file; null where there is none yet. Throws `state_unreadable`, naming the file and what is wrong with it. */
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

/** Signals, removals and commands follow from it: what somebody else could have written is not believed. */
function readOwnFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // a FIFO there would hold us up
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
  if (parsed.success) return { ...parsed.data, endedSpans: [] } as unknown as RestoreState
  const [issue] = parsed.error.issues
  throw new RestoreError('state_unreadable', `${path}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`)
}

/** Atomic: a reader sees the old state or the new one, whole; with `durable`, also after a power cut. */
export function writeStateFile(path: string, state: RestoreState, durable: boolean): void {
  const { endedSpans: _transient, ...persisted } = state
  const temporary = `${path}.tmp`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeFileSync(file, JSON.stringify(persisted))
    if (durable) fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  if (!durable) return
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
