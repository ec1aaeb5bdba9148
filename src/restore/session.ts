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
 * Begins the restore, or resumes it if an earlier agent was interrupted. Throws before anything begins:
 * `not_permitted`, `locked` (another agent works here), `unfinished` (another restore was interrupted here),
 * `state_unreadable`, and errors of the options given now.
 */
export async function startSession(
  asked: RestoreOptions,
  surroundings: SessionSurroundings,
  /** Its name in serve.yaml. */
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
 * Resumes whatever restore was interrupted in the state dir; null if there is none. `askedNow` gives the options a
 * fresh start would use, or null to keep those it began with. Throws as `startSession` does.
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
  stateDir.toolLock.fd() // throws `locked` while a tool of an earlier restore still runs
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

/** Whether this very restore has succeeded into the datadir as it is now, and the success was not reported. */
async function isUnreported(found: RestoreState, asked: RestoreOptions): Promise<boolean> {
  const { success } = found
  if (success === null || success.reported || success.datadirIdentity !== identityOf(asked.datadir)) return false
  try {
    await checkSameRestore(found, asked)
    return true
  } catch {
    return false // another restore, or another backup: this one runs on its own
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
