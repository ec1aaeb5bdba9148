import { rm } from 'node:fs/promises'
import { RestoreError } from '../../errors.ts'
import type { ToolFamily } from '../../tool/tool.ts'
import type { RestoreContext } from '../context.ts'
import { identityOf, removeIfEmpty } from '../debris.ts'
import { judgeOne } from '../judge-one.ts'
import type { Plan, PlanStep } from '../plan.ts'
import { checkDatadir } from '../prechecks.ts'
import { MOVE_BACK } from '../run-labels.ts'
import { runTools } from '../run-tools.ts'
import { makeDirectory } from './bring.ts'

/**
 * Moves the prepared files into the datadir. From here until it has ended well, what lies in the datadir is ours. One that
 * was cut short before goes on: the tool is then told that the datadir is not empty, and moves the files that are left.
 */
export async function moveBack(
  context: RestoreContext,
  step: Extract<PlanStep, { kind: 'move_back' }>,
  plan: Plan,
  family: ToolFamily,
): Promise<void> {
  const { store, now } = context
  const { made, tools, finished } = store.state
  if (finished.includes(MOVE_BACK)) return
  store.dispatch({ type: 'step_started', atMs: now(), step: 'move_back' })
  const goesOn = made.filling !== null && !tools.some(({ label }) => label === MOVE_BACK)
  if (made.filling === null) {
    // Hours may have passed since it was found empty.
    const existed = checkDatadir(plan.datadir, { cwd: false })
    const fill = (identity: string | null) =>
      store.dispatch({
        type: 'made',
        atMs: now(),
        made: { ...made, filling: { datadir: plan.datadir, existed, identity } },
      })
    fill(existed ? identityOf(plan.datadir) : null)
    try {
      if (!existed) makeDirectory(plan.datadir)
    } catch (error) {
      // Somebody else made it in this instant: then it is not ours to empty.
      store.dispatch({ type: 'made', atMs: now(), made })
      throw error
    }
    if (!existed) fill(identityOf(plan.datadir))
  }
  const { file, args } = step.command
  const command = goesOn ? { file, args: [...args, '--force-non-empty-directories'] } : step.command
  await runTools(context, {
    label: MOVE_BACK,
    position: step.element,
    stages: [{ command, grammar: family.grammar() }],
    judge: judgeOne('move_back'),
    stdin: 'ignore',
  }).catch(error => {
    // The tool looks before it moves anything. What it found came after we had looked, and is somebody else's.
    if (!goesOn && error instanceof RestoreError && error.code === 'datadir_not_empty') {
      if (!store.state.made.filling?.existed) removeIfEmpty(plan.datadir)
      store.dispatch({ type: 'made', atMs: now(), made: { ...store.state.made, filling: null } })
    }
    throw error
  })
}

/**
 * Nothing goes back from now on; of the target dir only metadata is left, kept in the run dir already. One that was cut
 * short is done again. That the datadir was filled by us stays noted: what fails its checks may have to make room.
 */
export async function settle({ store, now }: RestoreContext, plan: Plan): Promise<void> {
  const { made } = store.state
  if (made.giveBackTo === null && made.directories.length === 0) return
  const kept = { ...made, directories: plan.inPlace ? [] : made.directories, giveBackTo: null }
  store.dispatch({ type: 'made', atMs: now(), made: kept })
  for (const directory of kept.directories) await rm(directory, { recursive: true, force: true })
  store.dispatch({ type: 'made', atMs: now(), made: { ...kept, directories: [] } })
}
