import { mkdirSync } from 'node:fs'
import { ERRORS, type ErrorCode, RestoreError, toRestoreError } from '../errors.ts'
import type { Phase, RestoreStatus } from '../phases.ts'
import type { Source } from '../source/source.ts'
import type { RestoreContext } from './context.ts'
import { type Made, nothingMade, removeDebris } from './debris.ts'
import { makePlan, type PlanParts } from './make-plan.ts'
import type { PlanElement, PlanStep } from './plan.ts'
import { checkVersion, closeAll, type PreparedPlan, preparePlan } from './prepare-plan.ts'
import { refineParts } from './refine-parts.ts'
import { keepMetadata, moveRemnants } from './remnants.ts'
import type { RestoreState } from './state.ts'
import { copy, decompress, extract, makeDirectory } from './steps/bring.ts'
import { moveBack } from './steps/move-back.ts'
import { setOwner } from './steps/ownership.ts'
import { prepare } from './steps/prepare.ts'
import { layoutArguments, startCheck } from './steps/start-check.ts'
import { verifyDatadir } from './steps/verify.ts'
import { watch } from './watch.ts'

/**
 * Runs a restore from its first phase to a terminal state, always.
 *
 *   getting_backup_info   look, refuse or plan; nothing is written before
 *   for each element:
 *     restoring_basebackup  its bytes into its directory; then its metadata tell the rest, and the plan is made anew
 *     preparing_backup      prepare it onto the target dir; after the last one, move back
 *   finalizing            verify, ownership, start check
 *
 * Whatever goes wrong on the way ends the tools, takes away what this restore made, and stands in the final state.
 */
export async function runRestore(context: RestoreContext): Promise<RestoreState> {
  const { store, now } = context
  const made = nothingMade()
  const stopWatch = watch(context)
  store.dispatch({ type: 'attempt_started', atMs: now() })
  try {
    await attempt(context, made)
    store.dispatch({ type: 'attempt_ended', atMs: now(), error: null })
    store.dispatch({ type: 'ended', atMs: now(), status: 'succeeded', phase: 'completed', error: null })
  } catch (thrown) {
    const error = await cleanUp(toRestoreError(thrown), made)
    store.dispatch({ type: 'attempt_ended', atMs: now(), error: error.record })
    store.dispatch({ type: 'ended', atMs: now(), ...outcomeOf(error.code), error: error.record })
    if (error.code === 'internal' && error.cause instanceof Error) context.onBug(error.cause)
  } finally {
    stopWatch()
  }
  return store.state
}

/** The terminal state an error leads to. */
export function outcomeOf(code: ErrorCode): { status: Exclude<RestoreStatus, 'running'>; phase: Phase } {
  if (code === 'cancelled' || code === 'terminated') return { status: 'cancelled', phase: 'failed' }
  return { status: 'failed', phase: ERRORS[code].backup ? 'failed_basebackup' : 'failed' }
}

/** An error that comes while debris is removed must not hide the one that led there, only be told beside it. */
async function cleanUp(error: RestoreError, made: Made): Promise<RestoreError> {
  try {
    await removeDebris(made)
    return error
  } catch (thrown) {
    const { message } = toRestoreError(thrown)
    return new RestoreError(error.code, `${error.message}; what it left could not be removed: ${message}`, error)
  }
}

async function attempt(context: RestoreContext, made: Made): Promise<void> {
  const prepared = await phase(context, 'getting_backup_info', 0, () => lookAndPlan(context))
  const { sources } = prepared
  try {
    if (prepared.plan.inPlace) made.giveBackTo = prepared.plan.targetDir
    let { parts } = prepared
    for (let position = 1; position <= prepared.plan.elements.length; position++) {
      await phase(context, 'restoring_basebackup', position, async () => {
        await bring(context, parts, position, sources[position - 1]!, made)
        parts = await learn(context, parts, position)
      })
      await phase(context, 'preparing_backup', position, () => prepareElement(context, parts, position, made))
    }
    await phase(context, 'finalizing', prepared.plan.elements.length, () => finalize(context, parts))
  } finally {
    await closeAll(sources)
  }
}

/** Runs the work of a phase between its two events. */
async function phase<T>(context: RestoreContext, name: Phase, position: number, work: () => Promise<T>): Promise<T> {
  const { store, now, signal } = context
  store.dispatch({ type: 'phase_started', atMs: now(), phase: name, position })
  try {
    signal.throwIfAborted()
    const result = await work()
    signal.throwIfAborted()
    store.dispatch({ type: 'phase_ended', atMs: now(), error: null })
    return result
  } catch (thrown) {
    const error = toRestoreError(thrown)
    store.dispatch({ type: 'phase_ended', atMs: now(), error: error.record })
    throw error
  }
}

async function lookAndPlan({ store, options, runDir, now }: RestoreContext): Promise<PreparedPlan> {
  const prepared = await preparePlan(options, store.state.restoreId, runDir)
  mkdirSync(runDir, { recursive: true, mode: 0o700 })
  store.dispatch({ type: 'planned', atMs: now(), plan: prepared.plan })
  for (const text of prepared.notices) store.dispatch({ type: 'notice', atMs: now(), text })
  return prepared
}

type StepOf<K extends PlanStep['kind']> = Extract<PlanStep, { kind: K }>

/** The steps of one element and kind, as the newest plan has them. */
const stepsOf = <K extends PlanStep['kind']>({ store }: RestoreContext, position: number, kind: K) =>
  store.state.plan!.steps.filter((step): step is StepOf<K> => step.kind === kind && step.element === position)

async function bring(context: RestoreContext, parts: PlanParts, position: number, source: Source, made: Made) {
  const { directory } = context.store.state.plan!.elements[position - 1]!
  if (!(context.store.state.plan!.inPlace && position === 1)) {
    made.directories.push(directory)
    makeDirectory(directory)
  }
  for (const step of stepsOf(context, position, 'copy')) await copy(context, step, source)
  if (source.kind !== 'directory')
    for (const step of stepsOf(context, position, 'extract')) await extract(context, step, source)
  for (const step of stepsOf(context, position, 'decompress')) await decompress(context, step, parts.family.grammar())
}

/** What only the extracted element tells: its metadata, its redo, the memory that fits; the plan is made anew from it. */
async function learn(context: RestoreContext, parts: PlanParts, position: number): Promise<PlanParts> {
  const { store, now, runDir } = context
  const { directory } = store.state.plan!.elements[position - 1]!
  const refined = await refineParts(parts, position, directory)
  const { description } = refined.elements[position - 1]!
  for (const text of checkVersion(parts.family, parts.tool.version, description))
    if (!store.state.notices.includes(text)) store.dispatch({ type: 'notice', atMs: now(), text })
  keepMetadata(directory, runDir, position)
  store.dispatch({ type: 'planned', atMs: now(), plan: makePlan(refined) })
  return refined
}

async function prepareElement(context: RestoreContext, parts: PlanParts, position: number, made: Made): Promise<void> {
  const plan = context.store.state.plan!
  const element: PlanElement = plan.elements[position - 1]!
  for (const step of stepsOf(context, position, 'prepare'))
    await prepare(context, step, element, plan.targetDir, parts.family)
  for (const step of stepsOf(context, position, 'move_back')) await moveBack(context, step, plan, made, parts.family)
}

async function finalize(context: RestoreContext, parts: PlanParts): Promise<void> {
  const { store, now, runDir } = context
  const { datadir, owner, elements } = store.state.plan!
  for (const step of store.state.plan!.steps.filter(({ phase }) => phase === 'finalizing')) {
    if (step.kind === 'move_back') continue
    store.dispatch({ type: 'step_started', atMs: now(), step: step.kind as 'verify' | 'ownership' | 'start_check' })
    if (step.kind === 'verify') {
      await verifyDatadir(datadir)
      moveRemnants(datadir, runDir)
    }
    if (step.kind === 'ownership') await setOwner(datadir, owner!)
    if (step.kind === 'start_check') {
      const layout = layoutArguments(`${runDir}/backup/${elements.length}/backup-my.cnf`)
      const command = { file: step.command.file, args: [...step.command.args, ...layout] }
      await startCheck(context, command, parts.tool.family, datadir)
    }
  }
}
