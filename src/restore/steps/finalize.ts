import { join, relative } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { processIn } from '../../process/process-in.ts'
import type { RestoreContext } from '../context.ts'
import { noticeOnce } from '../context.ts'
import { movedFiles } from '../resume/cleanup.ts'
import { toolsOf } from '../state/runs.ts'
import { isPartial, metadataDir, moveRemnants } from './kept-files.ts'
import { checkAllMoved, settle } from './move-back.ts'
import { setOwner } from './ownership.ts'
import { startCheck } from './start-check.ts'
import { syncRun } from './sync.ts'
import { layoutOf } from './tablespaces.ts'
import { SLACK_BYTES, verifyDatadir } from './verify.ts'

/**
 * The last checks and changes on the datadir. All of them can be done again, but not under a server: under the one that
 * an earlier agent has started there for its check they are done, and anybody else's is left alone. What comes out is
 * on the disk before success is said.
 */
export async function finalize(context: RestoreContext): Promise<void> {
  const { store, now, runDir, signal } = context
  const plan = store.state.plan!
  const { datadir, owner, elements, steps } = plan
  const backupConfig = join(metadataDir(runDir, elements.length), 'backup-my.cnf')
  const layout = layoutOf(backupConfig)
  const moved = tellMoved(context)
  const hasServer = toolsOf(store.state, { kind: 'start_check' }).length > 0
  await checkAllMoved(context, plan, layout)
  if (!hasServer) refuseServer(datadir)
  if (!hasServer) await settle(context, plan) // its socket's directory is noted as created
  for (const step of steps) {
    if (step.kind !== 'verify' && step.kind !== 'ownership' && step.kind !== 'start_check') continue
    if (hasServer && step.kind !== 'start_check') continue
    store.dispatch({ type: 'step_started', atMs: now(), step: step.kind })
    if (step.kind === 'verify') {
      const notices = await verifyDatadir(datadir, layout, {
        slackBytes: SLACK_BYTES[plan.tool.family],
        partial: isPartial(runDir, elements.length),
        serverFollows: steps.some(({ kind }) => kind === 'start_check'),
        onChecked: moved,
      })
      for (const text of notices) noticeOnce(context, text)
      const remnants = moveRemnants(datadir, runDir)
      if (remnants.length > 0)
        noticeOnce(context, `moved out of the datadir, to ${join(runDir, 'remnants')}: ${formatFirst(remnants, 8)}`)
    }
    if (step.kind === 'ownership')
      await setOwner(datadir, owner!, {
        createdParents: [...store.state.cleanup.parents, ...outsideFolders(runDir, datadir)],
        onGiven: moved,
      })
    if (step.kind === 'start_check') await startCheck(context, step, backupConfig)
    signal.throwIfAborted()
  }
  await syncRun(context, { element: elements.length, kind: 'final_sync' }, datadir)
}

/** Directories outside the datadir that move-back created for tables with DATA DIRECTORY. */
const outsideFolders = (runDir: string, datadir: string): string[] =>
  movedFiles(runDir).folders.filter(folder => relative(datadir, folder).startsWith('..'))

/**
 * Hours may lie between a move-back and the agent that continues after it; somebody may have started a server since.
 */
function refuseServer(datadir: string): void {
  const user = processIn(datadir, { readers: false })
  if (user === null) return
  throw new RestoreError('server_running', `process ${user.pid} (${user.name}) works in ${datadir} already`, {
    hint: 'the files are all there, but were not checked; nothing was changed under the server',
  })
}

/** Reports activity of a step, at most twice a second: steps of ours have no tool that is watched. */
function tellMoved({ store, now }: RestoreContext): () => void {
  let toldAtMs = 0
  return () => {
    const { step } = store.state
    if (step === null || now() - toldAtMs < 500) return
    toldAtMs = now()
    store.dispatch({ type: 'progress', atMs: toldAtMs, input: { type: 'step', step } })
  }
}
