import { reduce } from './reduce.ts'
import type { Observer, RestoreEvent, RestoreState } from './state.ts'

/**
 * Holds the state, takes events, tells observers: the file first, so that what telemetry hands over is already closed on
 * disk, and a span id is never exported twice.
 *
 * What an agent must find after a kill (spans, tools, phase, plan, what was made, end) is written durably before anybody hears of it;
 * mere progress at most once a second and without fsync.
 */
export interface Store {
  readonly state: RestoreState
  dispatch(event: RestoreEvent): void
}

const PROGRESS_WRITE_MS = 1000

export function createStore(initial: RestoreState, firstEvent: RestoreEvent, options: StoreOptions): Store {
  const { observers } = options
  let state = initial
  let writtenAtMs = 0

  const save = (durable: boolean, atMs: number, atOnce = false) => {
    if (!durable && !atOnce && atMs - writtenAtMs < PROGRESS_WRITE_MS) return
    writtenAtMs = atMs
    try {
      options.write(state, durable)
    } catch (error) {
      // A full disk under the state file must not stop a restore that may free it; the next event tries again.
      options.onWriteError(error)
    }
  }
  const tell = (event: RestoreEvent) => {
    for (const observer of observers) {
      try {
        observer.observe(state, event)
      } catch (error) {
        options.onObserverError(error)
      }
    }
  }

  save(true, firstEvent.atMs)
  tell(firstEvent)
  return {
    get state() {
      return state
    },
    dispatch(event) {
      const before = state
      state = reduce(before, event)
      // Acknowledged spans are removed at once, so that a kill sends few of them again.
      save(isDurable(before, state), event.atMs, event.type === 'spans_exported')
      tell(event)
    },
  }
}

export interface StoreOptions {
  observers: readonly Observer[]
  /** Writes state.json; `durable` asks for fsync. */
  write: (state: RestoreState, durable: boolean) => void
  onWriteError: (error: unknown) => void
  onObserverError: (error: unknown) => void
}

/** Spans that begin and end at once, such as progress, are nobody's to find. */
const isDurable = (before: RestoreState, after: RestoreState): boolean =>
  after.spans !== before.spans ||
  after.cleanup !== before.cleanup ||
  after.runs !== before.runs ||
  after.failures !== before.failures ||
  after.backupIndex !== before.backupIndex ||
  toolsChanged(before.tools, after.tools) ||
  after.plan !== before.plan ||
  after.phase !== before.phase ||
  after.status !== before.status ||
  after.agentPid !== before.agentPid

/** How far a tool's lines have been read is progress: an older state and its older offset agree. */
const toolsChanged = (before: RestoreState['tools'], after: RestoreState['tools']): boolean =>
  before !== after &&
  (before.length !== after.length ||
    after.some((tool, index) => tool.id !== before[index]!.id || tool.exit !== before[index]!.exit))
