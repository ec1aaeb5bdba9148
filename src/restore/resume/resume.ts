import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { BackupDescription } from '../../backup/backup.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { endGroups, type Group } from '../../process/kill-groups.ts'
import { hasOpen, type LockFile, lockHolders, type ToolLock } from '../../process/lock.ts'
import { bootId, isAlive } from '../../process/proc-stat.ts'
import { readExit } from '../../process/tool-exit.ts'
import { identityDifference } from '../../source/identity.ts'
import { openSource } from '../../source/open-source.ts'
import type { Source } from '../../source/source.ts'
import { isSameChain, isStdin, localPathOf, nameOfSource } from '../../source/source-ref.ts'
import { NO_SETTINGS } from '../../source/store-settings.ts'
import { describe } from '../plan/inputs.ts'
import { type RestoreSession, runSession, type SessionSurroundings } from '../run-session.ts'
import { reduce } from '../state/reduce.ts'
import { toolsOf } from '../state/runs.ts'
import { currentOptions, type EventOf, type RestoreState, type RunningTool } from '../state/state.ts'
import type { StateDir } from '../state/state-dir.ts'
import { needsBytes, standsWithoutTools } from './decision.ts'
import { changeOptions, optionNotices, replan } from './option-changes.ts'

/**
 * Resumes the interrupted restore with the options given now, as far as it can still take them. Errors are thrown
 * before anything changes, so that a corrected command finds the same state.
 */
export async function resumeRestore(
  stateDir: StateDir,
  found: RestoreState,
  asked: RestoreOptions,
  surroundings: SessionSurroundings,
): Promise<RestoreSession> {
  const runDir = join(stateDir.path, found.restoreId)
  const boot = bootId()
  const changes = changeOptions(found, asked)
  const { options } = changes
  const fromInput = currentOptions(found).sources.some(isStdin)
  // A failed tool on standard input would end the restore, because the input is consumed; but the new input may hold
  // the backup again.
  const failed = fromInput && found.tools.some(hasFailed)
  const adopted = !failed && canAdopt(found, boot, stateDir.toolLock.file())
  const stands = { ...found, options, ...(!adopted && { tools: [], ...standsWithoutTools(found, boot) }) }
  const plan = changes.planIsVoid ? null : replan(stands, changes, runDir)
  const input = fromInput && plan !== null ? await reopenStdin({ ...stands, plan }, runDir) : null

  const { trace, link } = surroundings.beginTrace()
  await endOthers(stands.tools, stateDir.toolLock)
  const event: EventOf<'resumed'> = {
    type: 'resumed',
    atMs: Date.now(),
    agentPid: process.pid,
    bootId: boot,
    idPrefix: trace.idPrefix,
    link: link ?? (trace.parentSpanId ? { traceId: trace.traceId, spanId: trace.parentSpanId } : null),
    adopted,
    options,
    plan,
    runs: stands.runs,
    cleanup: stands.cleanup,
    lastSeenAtMs: found.updatedAtMs,
  }
  const opened = new Map(input ? [[1, input]] : [])
  const session = runSession(stateDir, { state: reduce(found, event), event, resumed: true, opened }, surroundings)
  const running = stands.tools.filter(({ exit }) => exit === null).map(({ name }) => name)
  for (const text of optionNotices(changes, running)) session.notice(text)
  if (fromInput && plan !== null && input === null)
    session.notice('standard input is not read: nothing more of the backup is needed from it')
  return session
}

/** Throws `unfinished` where another restore is asked for than the one that was found. */
export async function checkSameRestore(found: RestoreState, asked: RestoreOptions): Promise<void> {
  if (!isSameRestore(found.options, asked))
    throw new RestoreError(
      'unfinished',
      `the restore of ${found.options.sources.map(nameOfSource).join(' ')} into ${found.options.datadir} was interrupted and is not finished`,
    )
  await checkUnchanged(found)
}

const isSameRestore = (a: RestoreOptions, b: RestoreOptions): boolean =>
  a.datadir === b.datadir && isSameChain(a.sources, b.sources)

/**
 * Refuses to continue where another backup has replaced a source. A source that is gone and no longer needed does not
 * matter. Throws `unfinished`.
 */
async function checkUnchanged({ plan, runs, options }: RestoreState): Promise<void> {
  for (const { source: ref, identity } of plan?.elements ?? []) {
    const path = localPathOf(ref)
    if (path === null || identity === null || !existsSync(path)) continue
    // `--in-place` changes its source.
    if (plan!.inPlace && path === plan!.targetDir && runs.length > 0) continue
    const source = await openSource(ref, options)
    const difference = identityDifference(identity, await source.identity().finally(source.close))
    if (difference !== null)
      throw new RestoreError(
        'unfinished',
        `${path} was changed after the restore began that was interrupted and is not finished: its ${difference} differs`,
        { hint: 'to restore what it is now, give another --state-dir' },
      )
  }
}

/**
 * Whether this agent can adopt every tool in the state: the tool runs and reads no bytes from an agent, or it has ended
 * and left its status. A tool that did neither was killed, and its result is unknown. The input of a tool that the
 * agent fed ended when the agent died, so its status proves nothing. A run is adopted as a whole or not at all: the
 * agent may have died while it recorded the run's tools. That a process belongs to this restore is proved by the open
 * lock, not by the state file.
 */
export function canAdopt({ tools, bootId }: RestoreState, bootIdNow: string, lock: LockFile | undefined): boolean {
  const isWhole = ({ run, runSize }: RunningTool) => toolsOf({ tools }, run).length >= runSize
  const hasEnded = ({ exit, fedByAgent, statusPath }: RunningTool) =>
    exit !== null || (!fedByAgent && readExit(statusPath) !== null)
  const runsAlone = ({ fedByAgent, pid, startTicks }: RunningTool) =>
    !fedByAgent && isAlive(pid, startTicks) && lock !== undefined && hasOpen(pid, lock)
  // After a reboot, files that the tool wrote may be lost, whatever its status file says.
  return (
    bootId === bootIdNow &&
    tools.length > 0 &&
    tools.every(tool => isWhole(tool) && (hasEnded(tool) || runsAlone(tool)))
  )
}

/** It has ended with an error. */
export function hasFailed({ exit, statusPath }: RunningTool): boolean {
  const ended = exit ?? readExit(statusPath)
  return ended !== null && ended.code !== 0
}

/**
 * Ends every process that holds the tools' lock and is not adopted: tools of a torn pipeline, and those that were
 * started in the instant before the agent died and are not in the state. One that cannot be ended is another
 * container's or user's.
 */
async function endOthers(adopted: readonly RunningTool[], toolLock: ToolLock): Promise<void> {
  const lock = toolLock.file()
  if (!lock) return
  const groups = new Map<number, Group>()
  for (const { pgid, pid, startTicks } of lockHolders(lock.path))
    if (!adopted.some(tool => tool.pgid === pgid)) groups.set(pgid, { pgid, pid, startTicks })
  await endGroups([...groups.values()], { lock })
}

/**
 * Opens standard input for a resumed restore; null where it is not needed. The bytes that the earlier agent read are
 * gone. Where the backup must be extracted again, the new input must hold the same backup, as far as its first bytes
 * show. `stands` is the state without what was lost. Errors are thrown before anything changes.
 */
export async function reopenStdin(stands: RestoreState, runDir: string): Promise<Source | null> {
  const options = currentOptions(stands)
  // Adopted tools have their input.
  if (stands.plan === null || stands.tools.length > 0 || !needsBytes(stands, 1)) return null
  let source: Source | null = null
  try {
    source = await openSource({ kind: 'stdin' }, NO_SETTINGS)
    const { description, identity } = stands.plan.elements[0]!
    checkSame(description, await describe(source, options, runDir))
    const difference = identityDifference(identity, await source.identity())
    if (difference !== null) throw otherBackup(`its ${difference} differs`)
    return source
  } catch (thrown) {
    await source?.close()
    if (!(thrown instanceof RestoreError) || !IS_NO_BACKUP.has(thrown.code)) throw thrown
    throw new RestoreError(thrown.code, `the interrupted restore needs its backup once more: ${thrown.message}`, {
      lastWords: thrown.lastWords,
      hint: 'pipe the same backup in again',
    })
  }
}

const IS_NO_BACKUP: ReadonlySet<string> = new Set(['source_unreadable', 'source_empty', 'source_unknown'])

/** Fields that distinguish two backups. The first bytes of a pipe give few of them, a redirected file all. */
const TELLING = [
  'family',
  'toolVersion',
  'serverVersion',
  'serverUuid',
  'backupUuid',
  'startTime',
  'kind',
  'fromLsn',
  'toLsn',
  'lastLsn',
  'layers',
  'innerCompression',
  'storedBytes',
] as const satisfies (keyof BackupDescription)[]

/** Throws `unfinished` where both are known and differ. */
export function checkSame(before: BackupDescription, now: BackupDescription): void {
  for (const key of TELLING) {
    const [was, is] = [before[key], now[key]]
    if (was === null || is === null || String(was) === String(is)) continue
    throw otherBackup(`${key} is ${String(is) || 'none'}, not ${String(was) || 'none'}`)
  }
}

const otherBackup = (why: string): RestoreError =>
  new RestoreError(
    'unfinished',
    `standard input holds another backup than the one whose restore was interrupted: ${why}`,
    { hint: 'pipe the same backup in again, or restore this one with another --state-dir' },
  )
