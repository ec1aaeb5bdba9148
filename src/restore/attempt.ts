import { mkdirSync } from 'node:fs'
import { toRestoreError } from '../errors.ts'
import type { Phase } from '../phases.ts'
import { abortable } from '../process/abortable.ts'
import { missingParents } from '../process/file-system.ts'
import { systemError } from '../process/system-error.ts'
import type { Source } from '../source/source.ts'
import type { RestoreContext } from './context.ts'
import type { HoldingContext } from './hold-datadir.ts'
import type { PlanParts } from './plan/build-plan.ts'
import { closeAll, preparePlan } from './plan/inputs.ts'
import { partsOf } from './resume/replan.ts'
import { isFinished } from './state/runs.ts'
import { phaseSpanOf } from './state/spans.ts'
import { currentOptions } from './state/state.ts'
import { fetchElement, isFetched, prepareElement } from './steps/elements.ts'
import { finalize } from './steps/finalize.ts'
import { type Prefetch, prefetch } from './steps/prefetch.ts'

/**
 * One try at a restore, from wherever earlier ones have come to:
 *
 *   getting_backup_info   look, refuse or plan; nothing is written before
 *   for each element:
 *     restoring_basebackup  its bytes into its directory; then its metadata tell the rest, and the plan is made anew
 *     preparing_backup      prepare it onto the target dir; after the last one, move back
 *   finalizing            verify, ownership, start check
 *
 * `sources` are those that looking has opened; a pipe can be read only through them.
 */
export async function attempt(context: HoldingContext, sources: Map<number, Source>): Promise<void> {
  const { store } = context
  let parts = store.state.plan
    ? partsOf(store.state, context.runDir)
    : await phase(context, 'getting_backup_info', 0, () => lookAndPlan(context, sources))
  const { length } = store.state.plan!.elements
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
      const current: HoldingContext = prefetched ? { ...context, signal: prefetched.signal } : context
      await phase(current, 'preparing_backup', position, () => prepareElement(current, parts, position))
    }
  } finally {
    await prefetched?.stop()
  }
  await phase(context, 'finalizing', length, () => finalize(context))
}

function takeSource(sources: Map<number, Source>, position: number): Source | null {
  const source = sources.get(position) ?? null
  sources.delete(position)
  return source
}

/** Runs the work of a phase between its two events. One that is open was adopted, and only ends here. */
async function phase<T>(context: RestoreContext, name: Phase, position: number, work: () => Promise<T>): Promise<T> {
  const { store, now, signal } = context
  const isOpen = store.state.phase === name && phaseSpanOf(store.state, position)?.name === name
  if (!isOpen || store.state.position !== position)
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

/** A source may keep silent for ever, as a pipe into which nobody writes: a signal does not wait for it. */
async function lookAndPlan(
  { store, runDir, now, signal }: RestoreContext,
  opened: Map<number, Source>,
): Promise<PlanParts> {
  const preparing = preparePlan(currentOptions(store.state), store.state.restoreId, runDir)
  const { plan, parts, sources, notices } = await abortable(signal, () => preparing).catch(error => {
    preparing.then(late => closeAll(late.sources)).catch(() => {}) // what comes after the end is not told
    throw error
  })
  for (const [index, source] of sources.entries()) opened.set(index + 1, source)
  try {
    mkdirSync(runDir, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw systemError(thrown, `cannot write the state dir: ${runDir}`)
  }
  store.dispatch({ type: 'planned', atMs: now(), plan })
  const parents = missingParents([plan.targetDir, plan.datadir])
  if (plan.inPlace || parents.length > 0) {
    const returnFilesTo = plan.inPlace ? plan.targetDir : null
    store.dispatch({ type: 'cleanup', atMs: now(), cleanup: { ...store.state.cleanup, returnFilesTo, parents } })
  }
  if (plan.inPlace) {
    const text = `--in-place consumes ${plan.targetDir}: an interrupted prepare may leave no backup there to try again with`
    store.dispatch({ type: 'notice', atMs: now(), text })
  }
  for (const text of notices) store.dispatch({ type: 'notice', atMs: now(), text })
  return parts
}
