import { existsSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { processIn } from '../../process/process-in.ts'
import { changeCleanup, dispatch, type RestoreContext, untilDurable } from '../context.ts'
import { describeDirectory } from '../plan/describe-backup.ts'
import type { Plan } from '../plan/plan.ts'
import { hasBegun, isInterrupted, type RunId } from '../state/runs.ts'
import { returnCheckpoints } from '../steps/kept-files.ts'
import { finishRemoval, isAllMoved, isStillOurs, movedFiles, removeIfEmpty, undoPartialMove } from './cleanup.ts'
import { type Decision, decide, type Found } from './decision.ts'

/**
 * Before an attempt: finds what an earlier agent or attempt left and does what the table in decision.ts says. If a row
 * ends the restore, nothing is changed before.
 */
export async function repair(context: RestoreContext): Promise<void> {
  const { state } = context.store
  if (state.cleanup.removing) await finishRemoval(context)
  if (state.tools.length > 0) return // adopted
  const decisions = (await interruptedIn(context)).map(one => ({ ...one, decision: decide(one.found) }))
  for (const { decision } of decisions) if (decision.end !== null) throw endOf(context, decision.end)
  for (const { run, decision } of decisions) await carryOut(context, run, decision)
}

interface Interrupted {
  run: RunId
  found: Found
}

/**
 * The interrupted runs. Copy, extract and decompress are parts of a fetch. If an element's prepare was interrupted,
 * that decides and not its fetch.
 */
async function interruptedIn({ store, runDir }: RestoreContext): Promise<Interrupted[]> {
  const { state } = store
  const { plan, cleanup } = state
  if (plan === null) return []
  const { inPlace, elements, targetDir } = plan
  const interrupted: Interrupted[] = []
  for (const index of elements.keys()) {
    const element = index + 1
    if (isInterrupted(state, { element, kind: 'prepare' })) {
      const facts = {
        tool: plan.tool.family,
        isFull: index === 0,
        inPlace,
        isInBase: await isInBase(plan, index),
        redoIsLost: redoIsLost(plan, isInterrupted(state, { element, kind: 'fetch' })),
      }
      interrupted.push({ run: { element, kind: 'prepare' }, found: { what: 'prepare', ...facts } })
    } else if (isInterrupted(state, { element, kind: 'fetch' }))
      interrupted.push({ run: { element, kind: 'fetch' }, found: { what: 'fetch' } })
  }
  const run = { element: elements.length, kind: 'move_back' } as const
  const begun = hasBegun(state, { kind: 'move_back' })
  const isUnsynced = isInterrupted(state, { kind: 'sync' })
  const { partialDatadir } = cleanup
  const isNoted = partialDatadir !== null && (!begun || isInterrupted(state, { kind: 'move_back' }))
  if (isNoted || (begun && inPlace && isUnsynced)) {
    const { datadir } = plan
    const isOurs = partialDatadir !== null && isStillOurs(partialDatadir)
    const found = {
      what: 'move_back',
      begun,
      inPlace,
      isUnsynced,
      datadir: !existsSync(datadir) ? 'gone' : !isOurs ? 'replaced' : processIn(datadir) ? 'served' : 'ours',
      hasTargetDir: existsSync(targetDir),
      isComplete: isAllMoved(runDir),
    } as const
    interrupted.push({ run, found })
  }
  return interrupted
}

/** Whether the target dir's metadata name this incremental already: its prepare was killed at the very end. */
async function isInBase({ elements, targetDir }: Plan, index: number): Promise<boolean> {
  const before = elements[index - 1]
  if (before === undefined || !existsSync(targetDir)) return false // the first one, or fetched again
  return (await describeDirectory(targetDir)).toLsn !== before.description.toLsn
}

/**
 * At its very end mariadb-backup has flushed all pages, removes the redo log, writes a short one that ends at the
 * backup's last LSN, and then says so in the checkpoints file. Killed in between, it can prepare again: the short log
 * proves that nothing is missing. Without a log nothing proves it, nor after a reboot, since the pages were not synced.
 */
function redoIsLost({ targetDir, elements }: Plan, rebooted: boolean): boolean {
  const redo = statSync(join(targetDir, 'ib_logfile0'), { throwIfNoEntry: false })
  const before = elements[0]!.extracted?.redoBytes ?? null
  return before !== null && (redo === undefined || (rebooted && redo.size !== before))
}

const RUNS_OF_ELEMENT = ['fetch', 'extract', 'copy', 'decompress', 'prepare'] as const

async function carryOut(context: RestoreContext, run: RunId, decision: Decision): Promise<void> {
  const { store, runDir } = context
  const { plan, cleanup } = store.state
  const { datadir, targetDir, elements } = plan!
  // That these runs are interrupted is on the disk before anything of theirs goes.
  if (decision.removed !== 'nothing') await untilDurable(context)
  const first = decision.undone === 'the chain up to this element' ? 1 : run.element
  switch (decision.removed) {
    case 'its directory':
    case 'their directories':
      for (const { directory } of elements.slice(first - 1, run.element))
        if (cleanup.created.includes(directory)) await rm(directory, { recursive: true, force: true })
      break
    case 'an empty datadir':
      // If somebody has put files into it meanwhile, it stays.
      if (!cleanup.partialDatadir!.existed) removeIfEmpty(datadir)
      changeCleanup(context, { partialDatadir: null })
      break
    case 'half copies':
      undoPartialMove(datadir, targetDir, movedFiles(runDir))
      break
  }
  switch (decision.undone) {
    case 'this element':
    case 'the chain up to this element': {
      const undone = Array.from({ length: run.element - first + 1 }, (_, offset) => first + offset)
      const runs = undone.flatMap(element => RUNS_OF_ELEMENT.map(kind => ({ element, kind })))
      dispatch(context, { type: 'runs_undone', runs })
      break
    }
    case 'the run':
      if (run.kind === 'prepare') returnCheckpoints(targetDir, runDir, run.element)
      if (run.kind === 'move_back') changeCleanup(context, { partialDatadir: null })
      dispatch(context, { type: 'runs_undone', runs: [run] })
      break
  }
  if (decision.finished) dispatch(context, { type: 'run_finished', run })
}

const HANDS_OFF = { hint: 'it was left as it is; empty it yourself, or name another one, and restore again' }

/** The cleanup ledger gives the datadir up: what somebody else put there is not removed. */
function endOf(context: RestoreContext, code: NonNullable<Decision['end']>): RestoreError {
  const { plan, runs } = context.store.state
  const { datadir, targetDir } = plan!
  if (code === 'not_prepared')
    return hasBegun({ runs }, { kind: 'move_back' })
      ? new RestoreError(code, `${targetDir} was being moved when the machine stopped`, {
          hint: 'what had reached the disk is not known: restore from another copy of the backup',
        })
      : new RestoreError(code, `${targetDir} was being prepared in place when the tool died`, {
          hint: 'an interrupted prepare cannot be trusted: extract the backup again',
        })
  changeCleanup(context, { partialDatadir: null })
  const user = code === 'server_running' ? processIn(datadir) : null
  const message =
    code === 'server_running'
      ? `${user === null ? 'a process' : `process ${user.pid} (${user.name})`} works in ${datadir}`
      : `somebody else has changed ${datadir} since the move-back into it was interrupted`
  return new RestoreError(code, message, HANDS_OFF)
}
