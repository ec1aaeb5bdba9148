import { RestoreError, toRestoreError } from '../../errors.ts'
import { freeBytes } from '../../process/file-system.ts'
import type { Source } from '../../source/source.ts'
import type { RestoreContext } from '../context.ts'
import type { PlanParts } from '../plan/build-plan.ts'
import type { Plan } from '../plan/plan.ts'
import { mayPass } from '../resume/retry.ts'
import { hasBegun } from '../state/runs.ts'
import { fetchElement, isFetched } from './elements.ts'

/** An element that is fetched while the one before it is prepared. The phase in front stays the prepare's. */
export interface Prefetch {
  /** The parts with what the element told; rejects when it cannot be fetched. */
  parts: Promise<PlanParts>
  /**
   * For the work in front: aborted with the restore's own, and as soon as the element fetched ahead fails for good,
   * since then the chain cannot be restored.
   */
  signal: AbortSignal
  /** Ends it, where it still runs. Never rejects. */
  stop(): Promise<void>
}

/** What a stream grows to when nobody says: compressed data rarely grow more. */
const GROWTH = 4
/** Left free for the prepare in front, which extends files and writes redo. */
const RESERVE_BYTES = 1024 ** 3

/**
 * Begins to fetch an element ahead; null where there is none, no room, or it is switched off. Standard input comes
 * alone.
 */
export function prefetch(
  context: RestoreContext,
  parts: PlanParts,
  position: number,
  takeSource: () => Source | null,
): Prefetch | null {
  const { store, now, options } = context
  const plan = store.state.plan!
  if (position > plan.elements.length || isFetched(context, position)) return null
  // One whose tools were adopted continues, whatever this agent was told.
  const underWay = hasBegun(store.state, { element: position, kind: 'fetch' })
  if (!underWay && (!options.prefetch || !hasRoom(plan, position))) return null

  const stopped = new AbortController()
  const failed = new AbortController()
  store.dispatch({ type: 'prefetch_started', atMs: now(), position })
  const ahead = { ...context, signal: AbortSignal.any([context.signal, stopped.signal]) }
  const inFront = () => store.state.position === position
  const fetching = fetchElement(ahead, parts, position, takeSource()).then(
    learned => {
      // Come to the front meanwhile, its phase ends as every other.
      if (!inFront()) store.dispatch({ type: 'prefetch_ended', atMs: now(), position, error: null })
      return learned
    },
    thrown => {
      const error = toRestoreError(thrown)
      if (!inFront()) store.dispatch({ type: 'prefetch_ended', atMs: now(), position, error: error.record })
      // What may pass is tried again in its turn, and costs the prepare in front nothing.
      if (!mayPass(error.code)) failed.abort(error)
      throw error
    },
  )
  fetching.catch(() => {}) // whoever awaits it is told; until then it must not count as unhandled
  return {
    parts: fetching,
    signal: AbortSignal.any([context.signal, failed.signal]),
    async stop() {
      stopped.abort(new RestoreError('cancelled', 'the element in front failed'))
      await fetching.catch(() => {})
    },
  }
}

function hasRoom({ elements, targetDir }: Plan, position: number): boolean {
  const { dataBytes, storedBytes } = elements[position - 1]!.description
  const bytes = dataBytes ?? (storedBytes === null ? null : storedBytes * GROWTH)
  return bytes !== null && freeBytes(targetDir) > bytes + RESERVE_BYTES
}
