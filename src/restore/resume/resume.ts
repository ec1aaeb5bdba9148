import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { bootId } from '../../process/proc-stat.ts'
import { identityDifference } from '../../source/identity.ts'
import { openSource } from '../../source/open-source.ts'
import { isSameChain, isStdin, localPathOf, nameOfSource } from '../../source/source-ref.ts'
import { canAdopt, hasFailed } from '../run/adopt-tool.ts'
import { type RestoreSession, runSession, type SessionSurroundings } from '../run-session.ts'
import { withoutTools } from '../state/reduce.ts'
import type { RestoreState } from '../state/state.ts'
import { currentOptions } from '../state/state.ts'
import type { StateDir } from '../state/state-dir.ts'
import { changeOptions, optionNotices } from './option-changes.ts'
import { reopenStdin } from './reopen-stdin.ts'
import { replan } from './replan.ts'
import { takeOver } from './take-over.ts'

/**
 * Resumes the interrupted restore, with the options given now as far as it can still take them. Refusals are thrown
 * before anything changes, so that a better call finds the restore as this one did.
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
  // A failure would be the end, for want of another input to try again with; but now there may be one.
  const failed = fromInput && found.tools.some(hasFailed)
  const adopted = !failed && canAdopt(found, boot, stateDir.toolLock.file())
  const stands = { ...found, options, ...(adopted ? {} : withoutTools(found, boot)) }
  const plan = changes.planIsVoid ? null : replan(stands, changes, runDir)
  const input = fromInput && plan !== null ? await reopenStdin({ ...stands, plan }, runDir) : null

  const { trace, link } = surroundings.beginTrace()
  const taken = await takeOver(found, stateDir.toolLock, {
    agentPid: process.pid,
    bootId: boot,
    idPrefix: trace.idPrefix,
    link: link ?? (trace.parentSpanId ? { traceId: trace.traceId, spanId: trace.parentSpanId } : null),
    adopted,
    options,
    plan,
  })
  const opened = new Map(input ? [[1, input]] : [])
  const session = runSession(stateDir, { ...taken, resumed: true, opened }, surroundings)
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
 * Refuses to continue with a source that another backup has replaced; one that is gone, and not needed any more, does
 * not matter. Throws `unfinished`.
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
