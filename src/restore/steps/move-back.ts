import { existsSync, rmSync } from 'node:fs'
import type { ToolFamily } from '../../tool/tool.ts'
import type { RestoreContext } from '../context.ts'
import type { Made } from '../debris.ts'
import { judgeOne } from '../judge-one.ts'
import type { Plan, PlanStep } from '../plan.ts'
import { checkDatadir } from '../prechecks.ts'
import { runTools } from '../run-tools.ts'
import { makeDirectory } from './bring.ts'

/** Moves the prepared files into the datadir. From here until it has ended well, what lies in the datadir is ours. */
export async function moveBack(
  context: RestoreContext,
  step: Extract<PlanStep, { kind: 'move_back' }>,
  plan: Plan,
  made: Made,
  family: ToolFamily,
): Promise<void> {
  const { store, now } = context
  store.dispatch({ type: 'step_started', atMs: now(), step: 'move_back' })
  // Hours may have passed since it was found empty.
  const existed = checkDatadir(plan.datadir)
  made.filling = { datadir: plan.datadir, existed }
  if (!existed) makeDirectory(plan.datadir)
  await runTools(context, {
    label: 'move-back',
    stages: [{ command: step.command, grammar: family.grammar() }],
    judge: judgeOne('move_back'),
    stdin: 'ignore',
  })
  made.filling = null
  // Only what the tool left: metadata that is kept in the run dir already.
  if (!plan.inPlace && existsSync(plan.targetDir)) rmSync(plan.targetDir, { recursive: true, force: true })
}
