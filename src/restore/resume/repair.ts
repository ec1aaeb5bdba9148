import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { RestoreError } from '../../errors.ts'
import { processIn } from '../../process/process-in.ts'
import type { RestoreContext } from '../context.ts'
import { describeDirectory } from '../plan/extracted.ts'
import type { Plan } from '../plan/plan.ts'
import { hasBegun, isInterrupted, type RunId } from '../state/runs.ts'
import { isAllMoved, isStillOurs, movedFiles, removeIfEmpty, undoPartialMove } from './cleanup.ts'

/**
 * Undoes the interrupted runs of the last attempt, before the next one begins:
 *
 *   fetch       The element's directory is removed, and the element is fetched again.
 *   prepare     Never trusted: the element is fetched again. A killed prepare of an incremental has used its deltas up;
 *               run again, the tool says `completed OK!` without them. MariaDB's base takes the same incremental a
 *               second time as long as its metadata name the element before. Percona promises nothing of the kind, so
 *               there the chain begins again.
 *   move_back   Files that landed in the wrong place return to the target dir; the tool moves the files that are left.
 *
 * An element that is prepared in place has no source to fetch it from again. MariaDB prepares a full backup again from
 * the same checkpoint; for xtrabackup the backup is lost.
 */
export async function repair(context: RestoreContext): Promise<void> {
  const { store, now } = context
  const before = store.state
  const { plan, cleanup } = before
  if (plan === null) return
  // A reboot after an unsynced copy: neither directory is known to be whole (withoutTools), and there is no source
  // left.
  if (plan.inPlace && hasBegun(before, { kind: 'move_back' }) && isInterrupted(before, { kind: 'sync' }))
    throw new RestoreError('not_prepared', `${plan.targetDir} was being moved when the machine stopped`, {
      hint: 'what had reached the disk is not known: restore from another copy of the backup',
    })
  for (const index of plan.elements.keys()) {
    const position = index + 1
    const prepareCut = isInterrupted(before, { element: position, kind: 'prepare' })
    const wholeChain = prepareCut && (plan.tool.family === 'xtrabackup' || (await hasMovedOn(plan, index)))
    const inPlace = plan.inPlace && (position === 1 || wholeChain)
    const fetchCut = isInterrupted(before, { element: position, kind: 'fetch' })
    if (prepareCut && inPlace) {
      if (wholeChain)
        throw new RestoreError('not_prepared', `${plan.targetDir} was being prepared in place when the tool died`, {
          hint: 'an interrupted prepare cannot be trusted: extract the backup again',
        })
      store.dispatch({ type: 'runs_undone', atMs: now(), runs: [{ element: position, kind: 'prepare' }] })
    } else if (prepareCut || fetchCut) {
      const from = wholeChain ? 0 : index
      for (const { directory } of plan.elements.slice(from, position))
        if (cleanup.created.includes(directory)) await rm(directory, { recursive: true, force: true })
      const positions = Array.from({ length: position - from }, (_, offset) => from + offset + 1)
      store.dispatch({ type: 'runs_undone', atMs: now(), runs: positions.flatMap(runsOf) })
    }
  }
  if (cleanup.partialDatadir && !hasBegun(before, { kind: 'move_back' })) {
    // Noted, perhaps made, nothing moved: whoever fills it meanwhile fills his own.
    if (!cleanup.partialDatadir.existed) removeIfEmpty(cleanup.partialDatadir.datadir)
    store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...cleanup, partialDatadir: null } })
  } else if (isInterrupted(before, { kind: 'move_back' }) && cleanup.partialDatadir) {
    const { datadir } = cleanup.partialDatadir
    // A power cut took the datadir back, and what was moved is where it was synced.
    if (!existsSync(datadir) && existsSync(plan.targetDir)) {
      store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...cleanup, partialDatadir: null } })
      store.dispatch({ type: 'runs_undone', atMs: now(), runs: [{ element: plan.elements.length, kind: 'move_back' }] })
      return
    }
    // After a reboot a move-back that had finished counts as interrupted. Its target dir was removed last.
    if (!existsSync(plan.targetDir) && isStillOurs(cleanup.partialDatadir) && isAllMoved(context.runDir)) {
      store.dispatch({ type: 'run_finished', atMs: now(), run: { element: plan.elements.length, kind: 'move_back' } })
      return
    }
    const changed =
      isStillOurs(cleanup.partialDatadir) && existsSync(plan.targetDir) ? serverIn(datadir) : madeAnew(datadir)
    if (changed) {
      // Neither taken on nor emptied: it holds what somebody else put there.
      store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...cleanup, partialDatadir: null } })
      throw changed
    }
    await undoPartialMove(datadir, plan.targetDir, movedFiles(context.runDir))
  }
}

const HANDS_OFF = { hint: 'it was left as it is; empty it yourself, or name another one, and restore again' }

const madeAnew = (datadir: string): RestoreError =>
  new RestoreError(
    'datadir_not_empty',
    `somebody else has changed ${datadir} since the move-back into it was cut short`,
    HANDS_OFF,
  )

function serverIn(datadir: string): RestoreError | null {
  const user = processIn(datadir)
  return user && new RestoreError('server_running', `process ${user.pid} (${user.name}) works in ${datadir}`, HANDS_OFF)
}

/** Killed at its very end, an incremental's prepare has already written that the base holds it. */
async function hasMovedOn({ elements, targetDir }: Plan, index: number): Promise<boolean> {
  const before = elements[index - 1]
  if (before === undefined || !existsSync(targetDir)) return false // the first one, or fetched again
  return (await describeDirectory(targetDir)).toLsn !== before.description.toLsn
}

const KINDS = ['fetch', 'extract', 'copy', 'decompress', 'prepare'] as const
const runsOf = (element: number): RunId[] => KINDS.map(kind => ({ element, kind }))
