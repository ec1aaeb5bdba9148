import { RestoreError, toRestoreError } from '../../errors.ts'
import { freeBytes } from '../../process/file-system.ts'
import type { Source } from '../../source/source.ts'
import type { RestoreContext } from '../context.ts'
import type { PlanParts } from '../plan/build-plan.ts'
import type { Plan } from '../plan/plan.ts'
import { mayPass } from '../resume/retry.ts'
import { hasBegun } from '../state/runs.ts'
import { fetchElement, isFetched } from './elements.ts'

/** The prefetched element: fetched while the current one is prepared. The phase shown stays the current element's. */
export interface Prefetch {
  /** The parts with what the element told; rejects when it cannot be fetched. */
  parts: Promise<PlanParts>
  /**
   * For the current element: aborted with the restore, and when the prefetched element fails for good, because then the
   * chain cannot be restored.
   */
  signal: AbortSignal
  /** Ends it, where it still runs. Never rejects. */
  stop(): Promise<void>
}

/** What a stream grows to when nobody says: compressed data rarely grow more. */
const GROWTH = 4
/** Left free for the prepare of the current element, which extends files and writes redo. */
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
  const { store, now, options } = context
  const plan = store.state.plan!
  if (position > plan.elements.length || isFetched(context, position)) return null
  // One whose tools were adopted continues, whatever this agent was told.
  const underWay = hasBegun(store.state, { element: position, kind: 'fetch' })
  if (!underWay && (!options.prefetch || !hasRoom(plan, position))) return null

  const stopped = new AbortController()
  const failed = new AbortController()
  store.dispatch({ type: 'prefetch_started', atMs: now(), position })
  const prefetching = { ...context, signal: AbortSignal.any([context.signal, stopped.signal]) }
  const isCurrent = () => store.state.position === position
  const fetching = fetchElement(prefetching, parts, position, takeSource()).then(
    learned => {
      // Where it is the current element by now, its phase ends as every other.
      if (!isCurrent()) store.dispatch({ type: 'prefetch_ended', atMs: now(), position, error: null })
      return learned
    },
    thrown => {
      const error = toRestoreError(thrown)
      if (!isCurrent()) store.dispatch({ type: 'prefetch_ended', atMs: now(), position, error: error.record })
      // A failure that may pass is tried again when its turn comes; the current prepare goes on.
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
