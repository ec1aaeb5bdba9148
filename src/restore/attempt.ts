import { mkdirSync } from 'node:fs'
import { RestoreError, toRestoreError } from '../errors.ts'
import type { Phase } from '../phases.ts'
import { abortable } from '../process/abortable.ts'
import { freeBytes, missingParents } from '../process/file-system.ts'
import { systemError } from '../process/system-error.ts'
import type { Source } from '../source/source.ts'
import { changeCleanup, dispatch, notice, noticeOnce, type RestoreContext } from './context.ts'
import { lookAtBinlogs } from './plan/binlogs.ts'
import { makePlan, type PlanParts } from './plan/build-plan.ts'
import { closeAll, preparePlan } from './plan/inputs.ts'
import type { Plan } from './plan/plan.ts'
import { partsOf } from './resume/option-changes.ts'
import { mayPass } from './resume/retry.ts'
import { hasBegun, isFinished } from './state/runs.ts'
import { phaseSpanOf } from './state/spans.ts'
import { currentOptions } from './state/state.ts'
import { applyBinlogs, checkApplied, isChecked, makeRelayLogs, refuseAfterReboot } from './steps/apply-binlogs.ts'
import { fetchElement, isFetched, prepareElement } from './steps/elements.ts'
import { finalize } from './steps/finalize.ts'

/**
 * One try at a restore, from wherever earlier ones have come to:
 *
 *   getting_backup_info   look, refuse or plan; nothing is written before
 *   initiating_binlog_downloads  with binlogs: read them, and refuse what they alone tell
 *   for each element:
 *     restoring_basebackup  its bytes into its directory; then its metadata tell the rest, and the plan is made anew
 *     preparing_backup      prepare it onto the target dir; after the last one, move back
 *   refreshing_binlogs    with binlogs: the planned ones become relay logs
 *   applying_binlogs      a server applies them
 *   waiting_for_apply_to_finish  what it has is compared with the plan
 *   finalizing            verify, ownership, start check
 *
 * `sources` are those that looking has opened; a pipe can be read only through them.
 */
export async function attempt(context: RestoreContext, sources: Map<number, Source>): Promise<void> {
  const { store } = context
  let parts = store.state.plan
    ? partsOf(store.state, context.runDir)
    : await phase(context, 'getting_backup_info', 0, () => lookAndPlan(context, sources))
  const { length } = store.state.plan!.elements
  if (parts.options.binlogs !== null && store.state.plan!.binlogs === null)
    parts = await phase(context, 'initiating_binlog_downloads', 0, () => lookAtAllBinlogs(context, parts))
  let prefetched: Prefetch | null = null
  try {
    for (let position = 1; position <= length; position++) {
      if (!isFetched(context, position)) {
        const fetching: Prefetch | null = prefetched
        await phase(context, 'restoring_basebackup', position, async () => {
          parts = await (fetching?.parts ?? fetchElement(context, parts, position, takeSource(sources, position)))
        })
      } else if (prefetched) parts = await prefetched.parts
      if (isFinished(store.state, { element: position, kind: position === length ? 'move_back' : 'prepare' })) continue
      prefetched = prefetch(context, parts, position + 1, () => takeSource(sources, position + 1))
      const current: RestoreContext = prefetched ? { ...context, signal: prefetched.signal } : context
      await phase(current, 'preparing_backup', position, () => prepareElement(current, parts, position))
    }
  } finally {
    await prefetched?.stop()
  }
  if (store.state.plan!.binlogs !== null) {
    refuseAfterReboot(context)
    if (!isFinished(store.state, { kind: 'relay_logs' }))
      await phase(context, 'refreshing_binlogs', length, () => makeRelayLogs(context))
    if (!isFinished(store.state, { kind: 'apply' }))
      await phase(context, 'applying_binlogs', length, () => applyBinlogs(context))
    if (!isChecked(context)) await phase(context, 'waiting_for_apply_to_finish', length, () => checkApplied(context))
  }
  await phase(context, 'finalizing', length, () => finalize(context))
}

function takeSource(sources: Map<number, Source>, position: number): Source | null {
  const source = sources.get(position) ?? null
  sources.delete(position)
  return source
}

/** Runs a phase between its two events. A phase that is open already belongs to adopted tools and only ends here. */
async function phase<T>(context: RestoreContext, name: Phase, position: number, work: () => Promise<T>): Promise<T> {
  const { store, signal } = context
  const isOpen = store.state.phase === name && phaseSpanOf(store.state, position)?.name === name
  if (!isOpen || store.state.position !== position) dispatch(context, { type: 'phase_started', phase: name, position })
  try {
    signal.throwIfAborted()
    const result = await work()
    signal.throwIfAborted()
    dispatch(context, { type: 'phase_ended', error: null })
    return result
  } catch (thrown) {
    const error = toRestoreError(thrown)
    dispatch(context, { type: 'phase_ended', error: error.record })
    throw error
  }
}

/** What the binlogs alone tell; the whole plan of applying them where the backup's position is known already. */
async function lookAtAllBinlogs(context: RestoreContext, parts: PlanParts): Promise<PlanParts> {
  const { store, now, signal } = context
  const look = await abortable(signal, () => lookAtBinlogs(parts, signal))
  for (const text of look.notices) noticeOnce(context, text)
  const planned = { ...parts, look, binlogs: look.plan }
  if (look.plan !== null) store.dispatch({ type: 'planned', atMs: now(), plan: makePlan(planned) })
  return planned
}

/**
 * Inspecting a source can block for ever, for example on a pipe that nobody writes to. An abort does not wait for it.
 */
async function lookAndPlan(context: RestoreContext, opened: Map<number, Source>): Promise<PlanParts> {
  const { store, runDir, signal } = context
  const preparing = preparePlan(currentOptions(store.state), store.state.restoreId, runDir)
  const { plan, parts, sources, notices } = await abortable(signal, () => preparing).catch(error => {
    preparing.then(late => closeAll(late.sources)).catch(() => {}) // an error after the abort is of no interest
    throw error
  })
  for (const [index, source] of sources.entries()) opened.set(index + 1, source)
  try {
    mkdirSync(runDir, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw systemError(thrown, `cannot write the state dir: ${runDir}`)
  }
  dispatch(context, { type: 'planned', plan })
  const parents = missingParents([plan.targetDir, plan.datadir])
  if (plan.inPlace || parents.length > 0)
    changeCleanup(context, { returnFilesTo: plan.inPlace ? plan.targetDir : null, parents })
  if (plan.inPlace) {
    const text = `--in-place consumes ${plan.targetDir}: an interrupted prepare may leave no backup there to try again with`
    notice(context, text)
  }
  for (const text of notices) notice(context, text)
  return parts
}

/** The prefetched element: fetched while the current one is prepared. The phase shown stays the current element's. */
export interface Prefetch {
  /** The plan's parts, completed by what the element's metadata say. Rejects when the element cannot be fetched. */
  parts: Promise<PlanParts>
  /**
   * The signal for the current element. It is aborted with the restore, and when the prefetch fails for good: then the
   * chain cannot be restored.
   */
  signal: AbortSignal
  /** Stops the prefetch if it still runs. Never rejects. */
  stop(): Promise<void>
}

/** Assumed ratio of extracted to stored bytes where neither the source nor its metadata give the size. */
const GROWTH = 4
/** Kept free for the prepare of the current element, which extends files and writes redo. */
const RESERVE_BYTES = 1024 ** 3

/**
 * Begins to prefetch an element; null where there is none, where there is no room, or with `--prefetch off`. A restore
 * from standard input has one element.
 */
export function prefetch(
  context: RestoreContext,
  parts: PlanParts,
  position: number,
  takeSource: () => Source | null,
): Prefetch | null {
  const { store, options } = context
  const plan = store.state.plan!
  if (position > plan.elements.length || isFetched(context, position)) return null
  // A prefetch with adopted tools continues whatever the options of this agent say.
  const underWay = hasBegun(store.state, { element: position, kind: 'fetch' })
  if (!underWay && (!options.prefetch || !hasRoom(plan, position))) return null

  const stopped = new AbortController()
  const failed = new AbortController()
  dispatch(context, { type: 'prefetch_started', position })
  const prefetching = { ...context, signal: AbortSignal.any([context.signal, stopped.signal]) }
  const isCurrent = () => store.state.position === position
  const fetching = fetchElement(prefetching, parts, position, takeSource()).then(
    learned => {
      // If it has become the current element meanwhile, its phase ends like any other.
      if (!isCurrent()) dispatch(context, { type: 'prefetch_ended', position, error: null })
      return learned
    },
    thrown => {
      const error = toRestoreError(thrown)
      if (!isCurrent()) dispatch(context, { type: 'prefetch_ended', position, error: error.record })
      // A failure that may pass is retried when the element becomes the current one; the running prepare continues.
      if (!mayPass(error.code)) failed.abort(error)
      throw error
    },
  )
  fetching.catch(() => {}) // its error is for whoever awaits `parts`
  return {
    parts: fetching,
    signal: AbortSignal.any([context.signal, failed.signal]),
    async stop() {
      stopped.abort(new RestoreError('cancelled', 'the current element failed'))
      await fetching.catch(() => {})
    },
  }
}

function hasRoom({ elements, targetDir }: Plan, position: number): boolean {
  const { dataBytes, storedBytes } = elements[position - 1]!.description
  const bytes = dataBytes ?? (storedBytes === null ? null : storedBytes * GROWTH)
  return bytes !== null && freeBytes(targetDir) > bytes + RESERVE_BYTES
}
