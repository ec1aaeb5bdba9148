import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS, RestoreError } from '../../errors.ts'
import { endOfRedo, initialRecovery, recoveryAfter } from '../../progress/recovery.ts'
import { NO_FACTS } from '../../progress/state.ts'
import type { ToolEvent } from '../../tool/events.ts'
import type { ToolFamily } from '../../tool/tool.ts'
import { notice, type RestoreContext } from '../context.ts'
import { describeDirectory } from '../plan/describe-backup.ts'
import type { PlanElement, PlanStep } from '../plan/plan.ts'
import { runTools } from '../run/run-tools.ts'
import { judgeOne } from '../run/watch-tool.ts'
import { toolsOf } from '../state/runs.ts'

/**
 * Runs prepare on one element, then checks what the exit code does not tell: that the redo was read to its end, and
 * that the metadata now say prepared.
 */
export async function prepare(
  context: RestoreContext,
  step: Extract<PlanStep, { kind: 'prepare' }>,
  element: PlanElement,
  targetDir: string,
  family: ToolFamily,
): Promise<void> {
  let recovery = initialRecovery
  const facts = { ...NO_FACTS, tool: family.family }
  const missing = new Set<string>()
  const onEvents = (events: readonly ToolEvent[]) => {
    for (const event of events) {
      if (event.type === 'missing_tablespace') missing.add(event.text)
      recovery = recoveryAfter(recovery, event, facts)
    }
  }
  const again = inPlaceAgain(context, step.element)
  await runTools(context, {
    id: { element: step.element, kind: 'prepare' },
    stages: [{ command: step.command, grammar: family.grammar() }],
    // On a redo log that was cut, the tool may exit 0 with `completed OK!`, and only the LSN it reached shows the
    // damage; or it fails over a page from beyond the cut, and its message is not the cause.
    judge: results => {
      const judgement = judgeOne('prepare')(results)
      const isPlain = judgement === null || judgement.code === 'prepare_failed'
      const redo = isPlain ? redoProblem(element, endOfRedo(recovery, facts, judgement === null)) : null
      const found = redo === null ? judgement : { code: 'redo_incomplete' as const, message: redo, stage: 0 }
      const isBlame = found !== null && (found.code === 'prepare_failed' || ERRORS[found.code].backup)
      return again && isBlame ? { ...found, code: 'not_prepared' } : found
    },
    stdin: 'ignore',
    tempDir: join(targetDir, '.restore-agent-tmp'),
    onEvents,
  })
  if (missing.size > 0) noticeMissing(context, element, [...missing])
  await checkPrepared(targetDir, step.last)
}

/**
 * Whether an interrupted prepare in place is done again: what the tool then finds wrong may be its own half work, and
 * is no evidence against the backup.
 */
function inPlaceAgain({ store, runDir }: RestoreContext, element: number): boolean {
  if (store.state.plan?.inPlace !== true) return false
  const adopted = toolsOf(store.state, { element, kind: 'prepare' }).length > 0
  const earlier = readdirSync(runDir).filter(name => name.startsWith(`${element}-prepare-`) && name.endsWith('.stderr'))
  return earlier.length > (adopted ? 1 : 0)
}

/** Correct for a partial backup; lost data in any other. */
function noticeMissing(context: RestoreContext, { name }: PlanElement, complaints: readonly string[]): void {
  const more = complaints.length > 1 ? ` (and ${complaints.length - 1} more)` : ''
  notice(context, `${name} lacks files that its redo log changes: ${complaints[0]}${more}`)
}

function redoProblem({ name, description }: PlanElement, reachedLsn: number | null): string | null {
  const { lastLsn } = description
  if (lastLsn === null || reachedLsn === null || reachedLsn >= lastLsn) return null
  return `the redo log of ${name} ends at LSN ${reachedLsn}, the backup at LSN ${lastLsn}`
}

async function checkPrepared(targetDir: string, last: boolean): Promise<void> {
  const { prepared, problem } = await describeDirectory(targetDir)
  if (last && (!prepared || problem))
    throw new RestoreError('not_prepared', `${targetDir} is not prepared${problem ? `: ${problem.message}` : ''}`)
}
