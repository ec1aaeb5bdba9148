import { join } from 'node:path'
import type { RestoreContext } from './context.ts'
import { moveRemnants } from './remnants.ts'
import { settle } from './steps/move-back.ts'
import { setOwner } from './steps/ownership.ts'
import { layoutArguments, START_CHECK, startCheck } from './steps/start-check.ts'
import { systemFileOf, verifyDatadir } from './steps/verify.ts'

/**
 * The last checks and changes on the datadir. All of them can be done again, but not under a server that an earlier agent
 * has started there: then they are done.
 */
export async function finalize(context: RestoreContext): Promise<void> {
  const { store, now, runDir } = context
  const plan = store.state.plan!
  const { datadir, owner, elements, steps, tool } = plan
  await settle(context, plan)
  const backupConfig = join(runDir, 'backup', String(elements.length), 'backup-my.cnf')
  const hasServer = store.state.tools.some(({ label }) => label === START_CHECK)
  for (const step of steps) {
    if (step.kind !== 'verify' && step.kind !== 'ownership' && step.kind !== 'start_check') continue
    if (hasServer && step.kind !== 'start_check') continue
    store.dispatch({ type: 'step_started', atMs: now(), step: step.kind })
    if (step.kind === 'verify') {
      await verifyDatadir(datadir, systemFileOf(backupConfig))
      moveRemnants(datadir, runDir)
    }
    if (step.kind === 'ownership') await setOwner(datadir, owner!)
    if (step.kind === 'start_check') {
      const layout = layoutArguments(backupConfig)
      const command = { file: step.command.file, args: [...step.command.args, ...layout] }
      await startCheck(context, command, tool.family, datadir)
    }
  }
}
