import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { lowerCaseOfDictionary } from '../../tool/server-grammar.ts'
import type { RestoreContext } from '../context.ts'
import { noticeOnce } from '../context.ts'
import type { PlanStep } from '../plan/plan.ts'
import { toolsOf } from '../state/runs.ts'
import { checkTables, type Sql } from './check-tables.ts'
import { isPartial } from './kept-files.ts'
import {
  askServer,
  directoryOf,
  makePrivateDirectory,
  recordCreated,
  removeLeftovers,
  removePrivateDirectory,
  SERVER_TIMES,
  settingsFor,
} from './private-server.ts'

/**
 * Starts a private server on the restored datadir, checks its tables, and stops it. InnoDB's own recovery and the
 * rollback of transactions that were open when the backup ended happen here instead of at the first real start.
 */

const KIND = 'start_check'

type StartCheckStep = Extract<PlanStep, { kind: 'start_check' }>

export async function startCheck(
  context: RestoreContext,
  { command: planned }: StartCheckStep,
  backupConfig: string,
  times = SERVER_TIMES,
): Promise<void> {
  const { store, runDir } = context
  const plan = store.state.plan!
  const directory = directoryOf(planned)
  const adopted = toolsOf(store.state, { kind: KIND }).length > 0
  if (!adopted) makePrivateDirectory(context, directory, planned.runAs)
  try {
    const settings = adopted ? [] : await settingsFor(plan, planned.file, backupConfig)
    const check = (sql: Sql) => checkTables(sql, isPartial(runDir, plan.elements.length))
    const run = (more: readonly string[] = []) =>
      askServer(context, KIND, { ...planned, args: [...planned.args, ...settings, ...more] }, check, times)
    const checked = await run().catch(error => {
      const lowerCase = error instanceof RestoreError ? lowerCaseOfDictionary(error.lastWords) : null
      if (lowerCase === null) throw error
      return run([`--lower-case-table-names=${lowerCase}`])
    })
    // An adopted server ended in order before this agent could ask it.
    for (const text of (checked ?? (await run()))?.answer ?? []) noticeOnce(context, text)
    const changed = await removeLeftovers(context, plan.datadir, KIND)
    if (changed.length > 0)
      noticeOnce(context, `the server of the start check changed ${changed.length} files: ${formatFirst(changed)}`)
  } finally {
    if (!context.detached()) {
      await recordCreated(context, plan.datadir, KIND)
      removePrivateDirectory(context, directory)
    }
  }
}
