import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { existingAncestor } from '../../process/file-system.ts'
import type { Command } from '../../tool/command.ts'
import type { ToolFamily } from '../../tool/tool.ts'
import { changeCleanup, dispatch, type RestoreContext, untilDurable, untilWritten } from '../context.ts'
import { filesUnder } from '../plan/describe-backup.ts'
import { userCan } from '../plan/owner.ts'
import type { Plan, PlanStep } from '../plan/plan.ts'
import { checkDatadir } from '../plan/prechecks.ts'
import { DATA_FILE, filesToMove, identityOf, recordMovedFiles, removeIfEmpty } from '../resume/cleanup.ts'
import { runTools } from '../run/run-tools.ts'
import { judgeOne } from '../run/watch-tool.ts'
import { hasBegun, isFinished, toolsOf } from '../state/runs.ts'
import { makeDirectory } from './extract.ts'
import { syncRun } from './sync.ts'
import { type Layout, outsideFiles } from './table-files.ts'

/**
 * Moves the prepared files into the datadir. From its beginning to its end the cleanup ledger has the datadir. An
 * interrupted move-back continues: the tool is told to accept a datadir that is not empty, and moves the files that are
 * left.
 */
export async function moveBack(
  context: RestoreContext,
  step: Extract<PlanStep, { kind: 'move_back' }>,
  plan: Plan,
  family: ToolFamily,
): Promise<void> {
  const { store } = context
  if (isFinished(store.state, { kind: 'move_back' })) return
  dispatch(context, { type: 'step_started', step: 'move_back' })
  if (!hasBegun(store.state, { kind: 'move_back' }))
    await syncRun(context, { element: step.element, kind: 'sync' }, plan.targetDir)
  const goesOn = store.state.cleanup.partialDatadir !== null && toolsOf(store.state, { kind: 'move_back' }).length === 0
  if (store.state.cleanup.partialDatadir === null) {
    // Hours may have passed since the first check.
    const existed = checkDatadir(plan.datadir)
    const outside = await outsidePaths(plan)
    const note = (identity: string | null) =>
      changeCleanup(context, { partialDatadir: { datadir: plan.datadir, existed, identity } })
    note(existed ? identityOf(plan.datadir) : null)
    await untilDurable(context)
    try {
      if (!existed) {
        makeDirectory(plan.datadir)
        note(identityOf(plan.datadir))
      }
      context.datadirHold.take()
    } catch (error) {
      // Somebody else created it in this instant, or another agent uses it: its content is not this restore's.
      changeCleanup(context, { partialDatadir: null })
      if (error instanceof RestoreError && error.code === 'target_not_new')
        throw new RestoreError('datadir_not_empty', `somebody else created ${plan.datadir} during this restore`)
      throw error
    }
    const moved = await filesToMove(plan.targetDir, plan.datadir, outside)
    await untilWritten(context, () => recordMovedFiles(context.runDir, moved))
  }
  const force = goesOn || existsSync(join(plan.datadir, 'lost+found')) ? ['--force-non-empty-directories'] : []
  const command = { ...step.command, args: [...step.command.args, ...force], runAs: await moveBackUser(step, plan) }
  await runTools(context, {
    id: { element: step.element, kind: 'move_back' },
    stages: [{ command, grammar: family.grammar() }],
    judge: judgeOne('move_back'),
    stdin: 'ignore',
  }).catch(error => {
    // The tool checks before it moves anything: what it found came after this agent's check and belongs to somebody
    // else.
    if (!goesOn && error instanceof RestoreError && error.code === 'datadir_not_empty') {
      if (!store.state.cleanup.partialDatadir?.existed) removeIfEmpty(plan.datadir)
      changeCleanup(context, { partialDatadir: null })
    }
    throw error
  })
}

/**
 * Paths of files that move-back puts outside the datadir. The tool would overwrite an existing file: throws
 * `datadir_not_empty`.
 */
async function outsidePaths({ targetDir }: Plan): Promise<Map<string, string>> {
  const outside = await outsideFiles(targetDir)
  const taken = outside.find(({ path }) => existsSync(path))
  if (taken)
    throw new RestoreError(
      'datadir_not_empty',
      `${taken.path} exists: the file of a table with DATA DIRECTORY goes there`,
      {
        hint: 'the source server may use it: restore on another machine, or move the file away',
      },
    )
  return new Map(outside.map(({ name, path }) => [name, path]))
}

/**
 * The user for move-back: the owner, unless DATA DIRECTORY files go where the owner may not write. Then root moves
 * them, and gives them away later.
 */
async function moveBackUser(
  { command: { runAs } }: { command: Command },
  { targetDir }: Plan,
): Promise<Command['runAs']> {
  if (runAs === undefined) return undefined
  const directories = (await outsideFiles(targetDir)).map(({ path }) => existingAncestor(dirname(path)))
  return [...new Set(directories)].every(directory => userCan(runAs, '-w', directory)) ? runAs : undefined
}

/**
 * Checks that no file with data is left in the target dir. If the tool reports success and has left some, they are kept
 * and the restore ends. Throws `move_back_failed`.
 */
export async function checkAllMoved(
  context: RestoreContext,
  { targetDir, datadir }: Plan,
  { systemFiles }: Layout,
): Promise<void> {
  const { cleanup } = context.store.state
  if (cleanup.returnFilesTo === null && cleanup.created.length === 0) return // an earlier agent did this already
  if (!existsSync(targetDir)) return
  const left: string[] = []
  for await (const path of filesUnder(targetDir)) {
    const name = relative(targetDir, path)
    if (DATA_FILE.test(name) || systemFiles.includes(name)) left.push(name)
  }
  if (left.length === 0) return
  changeCleanup(context, { created: [], returnFilesTo: null })
  throw new RestoreError('move_back_failed', `move-back has left files in ${targetDir}: ${formatFirst(left)}`, {
    hint: `both places were left as they are: the rest is in ${datadir}. Move these files there yourself, or remove both and restore again`,
  })
}

/**
 * Removes the target dir, which holds only metadata by now; they are kept in the run dir. It can run again after an
 * interruption. The datadir stays in the ledger: if it fails its checks, it may have to make room for an older backup.
 */
export async function settle(context: RestoreContext, plan: Plan): Promise<void> {
  const { cleanup } = context.store.state
  if (cleanup.returnFilesTo === null && cleanup.created.length === 0) return
  const created = plan.inPlace ? [] : cleanup.created
  changeCleanup(context, { created, returnFilesTo: null })
  await untilDurable(context)
  for (const directory of created) await rm(directory, { recursive: true, force: true })
  changeCleanup(context, { created: [] })
}
