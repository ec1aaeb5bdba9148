import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { partialNotice } from '../../backup/backup.ts'
import { checkChain } from '../../backup/chain.ts'
import { ERRORS, RestoreError } from '../../errors.ts'
import { formatBytes, formatFirst } from '../../format.ts'
import { type AvailableMemory, availableMemory } from '../../process/memory.ts'
import { endOfRedo, initialRecovery, recoveryAfter } from '../../progress/recovery.ts'
import { NO_FACTS } from '../../progress/state.ts'
import { identityDifference } from '../../source/identity.ts'
import { openSource } from '../../source/open-source.ts'
import type { Source, SourceIdentity } from '../../source/source.ts'
import { localPathOf } from '../../source/source-ref.ts'
import type { ToolEvent } from '../../tool/events.ts'
import type { ToolFamily } from '../../tool/tool.ts'
import { atLeast } from '../../tool/version.ts'
import { changeCleanup, dispatch, notice, noticeOnce, type RestoreContext, untilDurable } from '../context.ts'
import { planBinlogs } from '../plan/binlogs.ts'
import { chooseMemory, makePlan, type PlanParts } from '../plan/build-plan.ts'
import { describeDirectory, refineParts } from '../plan/describe-backup.ts'
import { checkVersion, plannedServer } from '../plan/inputs.ts'
import type { PlanElement, PlanStep } from '../plan/plan.ts'
import { runTools } from '../run/run-tools.ts'
import { judgeOne } from '../run/watch-tool.ts'
import { hasBegun, isFinished, type RunKind, toolsOf } from '../state/runs.ts'
import { copy, decompress, extract, makeDirectory } from './extract.ts'
import { keepMetadata, replaceConfig } from './kept-files.ts'
import { moveBack } from './move-back.ts'

/** The work on one element of the chain. Each function may find its work done, or under way, by an earlier agent. */

type StepOf<K extends PlanStep['kind']> = Extract<PlanStep, { kind: K }>

/** The steps of one element and kind, as the newest plan has them. */
const stepsOf = <K extends PlanStep['kind']>({ store }: RestoreContext, position: number, kind: K) =>
  store.state.plan!.steps.filter((step): step is StepOf<K> => step.kind === kind && step.element === position)

export const isFetched = ({ store }: RestoreContext, position: number): boolean =>
  isFinished(store.state, { element: position, kind: 'fetch' })

/** Fetches an element into its directory and completes the plan with its metadata. */
export async function fetchElement(
  context: RestoreContext,
  parts: PlanParts,
  position: number,
  source: Source | null,
): Promise<PlanParts> {
  const { store } = context
  const run = { element: position, kind: 'fetch' } as const
  const { directory, source: ref, identity, innerKeyFile } = store.state.plan!.elements[position - 1]!
  const inPlace = store.state.plan!.inPlace && position === 1
  // After a power cut, a fetch in place starts on a directory that this restore's own prepare has changed.
  const mayDiffer = inPlace && hasBegun(store.state, run)
  if (!hasBegun(store.state, run)) {
    dispatch(context, { type: 'run_begun', run })
    if (!inPlace) await createDirectory(context, directory)
  }
  const undone = (kind: RunKind) => !isFinished(store.state, { element: position, kind })
  // Adopted tools have their input. Standard input cannot be opened again, and a server need not be reachable for this.
  const tools = toolsOf(store.state, { element: position })
  const adopted = localPathOf(ref) === null && tools.length > 0
  const opened = adopted ? null : (source ?? (await openSource(ref, context.options)))
  try {
    if (source === null && opened !== null && tools.length === 0 && !mayDiffer) await checkUnchanged(opened, identity)
    if (innerKeyFile !== undefined && opened?.kind === 'stream' && opened.innerKey)
      writeFileSync(innerKeyFile, opened.innerKey(), { mode: 0o600 })
    if (undone('copy') && opened !== null)
      for (const step of stepsOf(context, position, 'copy')) await copy(context, step, opened)
    if (undone('extract') && opened?.kind !== 'directory')
      for (const step of stepsOf(context, position, 'extract')) await extract(context, step, opened)
    if (undone('decompress'))
      for (const step of stepsOf(context, position, 'decompress'))
        await decompress(context, step, parts.family.grammar())
  } finally {
    // A tool that another agent adopts has read it.
    if (innerKeyFile !== undefined) rmSync(innerKeyFile, { force: true })
    await opened?.close()
  }
  const refined = await learn(context, parts, position, directory)
  dispatch(context, { type: 'run_finished', run })
  return refined
}

/** The source must still be the one that was planned. Throws `source_changed`. */
async function checkUnchanged(source: Source, identity: SourceIdentity | null): Promise<void> {
  const difference = identityDifference(identity, await source.identity())
  if (difference !== null)
    throw new RestoreError(
      'source_changed',
      `${source.name} is not the backup that this restore began with: its ${difference} differs`,
    )
}

/**
 * Creates a directory that a failed restore removes. The ledger has it first: a kill in between leaves nothing behind.
 */
async function createDirectory(context: RestoreContext, directory: string): Promise<void> {
  const { created } = context.store.state.cleanup
  changeCleanup(context, { created: [...new Set([...created, directory])] })
  await untilDurable(context)
  try {
    makeDirectory(directory)
  } catch (error) {
    // Somebody else created it since the check, so this restore must not remove it.
    const now = context.store.state.cleanup.created
    if (!created.includes(directory)) changeCleanup(context, { created: now.filter(path => path !== directory) })
    throw error
  }
}

/** Completes the plan after an extract: metadata, size of the redo, memory that fits. */
async function learn(
  context: RestoreContext,
  parts: PlanParts,
  position: number,
  directory: string,
): Promise<PlanParts> {
  const { store, runDir } = context
  const refined = await refineParts(parts, position, directory)
  const { description } = refined.elements[position - 1]!
  // The LSNs of a compressed stream are known only now.
  checkChain(refined.elements.map(element => element.description))
  checkMetadataNames(parts, directory)
  for (const text of [...checkVersion(parts.family, parts.tool.version, description), partialNotice(description)])
    if (text !== null) noticeOnce(context, text)
  // The server version of a compressed stream is known only now.
  refined.server = plannedServer(refined)
  if (position === refined.elements.length) await planApply(context, refined, directory)
  keepMetadata(directory, runDir, position)
  const dropped = replaceConfig(directory, runDir, position, parts.options.encryptionKeyFile)
  if (dropped.length > 0)
    noticeOnce(
      context,
      `settings of the backup's backup-my.cnf that could run code or reach other files are not used: ${formatFirst(dropped)}`,
    )
  dispatch(context, { type: 'planned', plan: makePlan({ ...refined, memory: store.state.plan!.memory }) })
  return refined
}

/** Where to begin in the binlogs is known now, and whether they reach back to it. */
async function planApply(context: RestoreContext, parts: PlanParts, directory: string): Promise<void> {
  parts.binlogs = await planBinlogs(parts, directory, context.signal)
  for (const text of parts.binlogs?.notices ?? []) noticeOnce(context, text)
}

/** mariadb-backup before 11 does not know the names that 11.x gives to the metadata files. */
function checkMetadataNames({ tool, elements }: PlanParts, directory: string): void {
  if (tool.family !== 'mariadb-backup' || atLeast(tool.version, '11')) return
  if (existsSync(join(directory, 'xtrabackup_checkpoints'))) return
  throw new RestoreError(
    'tool_version',
    `${elements[0]!.name} has the metadata files of MariaDB 11, which mariadb-backup ${tool.version} does not know`,
  )
}

/** Prepares the element onto the target dir; after the last one, moves back. */
export async function prepareElement(context: RestoreContext, parts: PlanParts, position: number): Promise<void> {
  const { store } = context
  if (!hasBegun(store.state, { element: position, kind: 'prepare' })) planMemory(context, parts, position)
  const plan = store.state.plan!
  const element = plan.elements[position - 1]!
  if (!isFinished(store.state, { element: position, kind: 'prepare' }))
    for (const step of stepsOf(context, position, 'prepare'))
      await prepare(context, step, element, plan.targetDir, parts.family)
  await untilDurable(context) // the prepare has consumed the incremental
  if (position > 1) await rm(element.directory, { recursive: true, force: true })
  for (const step of stepsOf(context, position, 'move_back')) await moveBack(context, step, plan, parts.family)
}

/**
 * Memory is chosen when prepare begins, not when the plan is made: hours may lie between. Only the first element of a
 * chain gets a notice, because the others differ little and a chain may have hundreds.
 */
function planMemory(context: RestoreContext, parts: PlanParts, position: number): void {
  const { store } = context
  const { description, extracted } = parts.elements[position - 1]!
  const { memoryCapBytes: cap } = store.state
  const available = capped(availableMemory(), cap)
  const { memory: wanted } = parts.options
  const asked = wanted === 'auto' || cap === null ? wanted : Math.min(wanted, cap)
  const memory = chooseMemory(asked, available, parts.family.memoryFloorBytes, description, extracted)
  dispatch(context, { type: 'planned', plan: makePlan({ ...parts, memory }) })
  if (position === 1 && stepsOf(context, position, 'prepare').length > 0)
    noticeOnce(context, `prepare may take ${formatBytes(memory.bytes)} of memory: ${memory.reason}`)
}

/** After a tool was killed for want of memory, less counts as available. */
const capped = (available: AvailableMemory, capBytes: number | null): AvailableMemory =>
  capBytes === null || capBytes >= available.bytes
    ? available
    : { bytes: capBytes, reason: 'a tool was killed with more' }

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
