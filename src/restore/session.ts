import { randomBytes } from 'node:crypto'
import type { RestoreOptions } from '../config/options.ts'
import { bootId } from '../process/proc-stat.ts'
import { nameOfSource } from '../source/source-ref.ts'
import { withChosenBackup } from './plan/choose-backup.ts'
import { checkStateDirPlace } from './plan/prechecks.ts'
import { identityOf } from './resume/cleanup.ts'
import { checkSameRestore, resumeRestore } from './resume/resume.ts'
import { type RestoreSession, reportEarlier, runSession, type SessionSurroundings } from './run-session.ts'
import { initialState } from './state/reduce.ts'
import type { AttributeValue } from './state/state.ts'
import { currentOptions, type RestoreState } from './state/state.ts'
import { openStateDir, type StateDir } from './state/state-dir.ts'

export const newRestoreId = (): string =>
  `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}-${randomBytes(3).toString('hex')}`

/**
 * Begins the restore, or resumes the same one where an earlier agent was interrupted. Throws before anything begins:
 * `not_permitted`, `locked` (another agent is at work), `unfinished` (another restore was interrupted here),
 * `state_unreadable`, and what an option that is given now to an interrupted one would fail with.
 */
export async function startSession(
  asked: RestoreOptions,
  surroundings: SessionSurroundings,
  /** Name under which it is asked for. */
  backup: string | null = null,
): Promise<RestoreSession> {
  checkStateDirPlace(asked)
  const stateDir = openStateDir(asked.stateDir)
  try {
    const found = stateDir.read()
    const options = await withChosenBackup(asked, found !== null && isUnfinished(found) ? found.options : null)
    if (found && (await isUnreported(found, options))) return reportEarlier(stateDir, found, surroundings)
    if (found?.status !== 'running') return begin(stateDir, options, surroundings, backup, found)
    await checkSameRestore(found, options)
    return await resumeRestore(stateDir, found, options, surroundings)
  } catch (error) {
    stateDir.release()
    throw error
  }
}

/**
 * Goes on with an interrupted restore, whichever it is; null where there is none. `askedNow` says what it would be told
 * if it began now; null: as it was begun. Throws as `startSession` does.
 */
export async function resumeSession(
  stateDir: string,
  askedNow: (found: RestoreState) => RestoreOptions | null,
  surroundings: SessionSurroundings,
): Promise<RestoreSession | null> {
  const held = openStateDir(stateDir)
  try {
    const found = held.read()
    if (found?.status === 'running')
      return await resumeRestore(held, found, askedNow(found) ?? found.options, surroundings)
  } catch (error) {
    held.release()
    throw error
  }
  held.release()
  return null
}

function begin(
  stateDir: StateDir,
  options: RestoreOptions,
  surroundings: SessionSurroundings,
  backup: string | null,
  before: RestoreState | null,
): RestoreSession {
  stateDir.toolLock.fd() // no tool of anybody is left
  const atMs = Date.now()
  const state = initialState(
    {
      restoreId: newRestoreId(),
      agentPid: process.pid,
      bootId: bootId(),
      options,
      backup,
      earlier: earlierSuccess(before, options),
      ...surroundings.beginTrace(),
      attributes: shortPlan(options),
      unsentSpans: before?.unsentSpans ?? [],
    },
    atMs,
  )
  return runSession(stateDir, { state, event: { type: 'restore_started', atMs }, resumed: false }, surroundings)
}

/** It is to be resumed, or its success was not told to anybody yet. */
const isUnfinished = ({ status, success }: RestoreState): boolean => status === 'running' || success?.reported === false

/** The same restore, succeeded, in a datadir that is still there, and nobody was told. */
async function isUnreported(found: RestoreState, asked: RestoreOptions): Promise<boolean> {
  const { success } = found
  if (success === null || success.reported || success.datadirIdentity !== identityOf(asked.datadir)) return false
  try {
    await checkSameRestore(found, asked)
    return true
  } catch {
    return false // another restore, or of another backup: it fails or succeeds for itself
  }
}

const earlierSuccess = (before: RestoreState | null, { datadir }: RestoreOptions): RestoreState['earlier'] => {
  if (before === null || before.options.datadir !== datadir) return null
  if (before.status !== 'succeeded') return before.earlier
  return {
    restoreId: before.restoreId,
    sources: currentOptions(before).sources.map(nameOfSource),
    endedAtMs: before.phaseStartedAtMs,
  }
}

const shortPlan = (options: RestoreOptions): Record<string, AttributeValue> => ({
  'restore.backup': options.sources.map(nameOfSource).join(' '),
  'restore.datadir': options.datadir,
  'restore.chain.length': options.sources.length,
})
