import { reduce } from './reduce.ts'
import type { Observer, RestoreEvent, RestoreState } from './state.ts'

/**
 * Holds the state, applies events, calls the observers. The file is written first, so a span is closed on disk before
 * telemetry exports it, and its id is never exported twice.
 *
 * What an agent must find after a kill (spans, tools, phase, plan, cleanup ledger, end) is written durably before any
 * observer sees it; mere progress at most once a second and without fsync. A failed write does not stop what runs. Work
 * that must not begin unrecorded calls `persist`.
 */
export interface Store {
  readonly state: RestoreState
  dispatch(event: RestoreEvent): void
  /** Writes the state durably, unless it is on the disk already. Throws what the write throws. */
  persist(): void
}

const PROGRESS_WRITE_MS = 1000
/** Ticks come once a second. If no event came for this long, the agent itself did not run. */
const PAUSE_MS = 3000
const TICK_MS = 1000

export function createStore(initial: RestoreState, firstEvent: RestoreEvent, options: StoreOptions): Store {
  const { observers } = options
  let state = initial
  /** The newest durable write has failed. */
  let unsaved = false
  let writtenAtMs = 0
  let heardAtMs = performance.now()

  const write = (durably: boolean) => {
    options.write(state, durably)
    if (durably) unsaved = false
  }
  const save = (durably: boolean, atMs: number, atOnce = false) => {
    if (!durably && !atOnce && atMs - writtenAtMs < PROGRESS_WRITE_MS) return
    writtenAtMs = atMs
    unsaved ||= durably
    try {
      write(unsaved)
    } catch (error) {
      options.onWriteError(error) // the next event tries again
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
  const take = (event: RestoreEvent) => {
    const before = state
    state = reduce(before, event)
    // Acknowledged spans are removed at once, so that a kill sends few of them again.
    save(isDurable(before, state), event.atMs, event.type === 'spans_exported')
    tell(event)
  }

  save(true, firstEvent.atMs)
  tell(firstEvent)
  return {
    get state() {
      return state
    },
    dispatch(event) {
      const pausedMs = performance.now() - heardAtMs - TICK_MS
      heardAtMs = performance.now()
      // First, or the event would count the pause as a stall.
      if (pausedMs > PAUSE_MS) take({ type: 'tick', atMs: event.atMs, pausedMs })
      take(event)
    },
    persist() {
      if (unsaved) write(true)
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

/** Spans that begin and end at once, such as progress, need not be found after a kill. */
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
  after.agentPid !== before.agentPid ||
  after.success !== before.success

/** The read offset is mere progress: an older state and its older offset fit together. */
const toolsChanged = (before: RestoreState['tools'], after: RestoreState['tools']): boolean =>
  before !== after &&
  (before.length !== after.length ||
    after.some((tool, index) => tool.id !== before[index]!.id || tool.exit !== before[index]!.exit))
