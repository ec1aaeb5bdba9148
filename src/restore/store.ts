import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { reduce } from './reduce.ts'
import type { Observer, RestoreEvent, RestoreState } from './state.ts'

/**
 * Holds the state, takes events, tells observers: the file first, so that what telemetry hands over is already closed on
 * disk, and a span id is never exported twice.
 *
 * What an agent must find after a kill (spans, tools, phase, plan, end) is written durably before anybody hears of it;
 * mere progress at most once a second and without fsync.
 */
export interface Store {
  readonly state: RestoreState
  dispatch(event: RestoreEvent): void
  subscribe(observer: Observer): void
}

const PROGRESS_WRITE_MS = 1000

export function createStore(initial: RestoreState, firstEvent: RestoreEvent, options: StoreOptions): Store {
  const observers: Observer[] = [...options.observers]
  let state = initial
  let writtenAtMs = 0

  const save = (durable: boolean, atMs: number) => {
    if (!durable && atMs - writtenAtMs < PROGRESS_WRITE_MS) return
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
      save(isDurable(before, state), event.atMs)
      tell(event)
    },
    subscribe: observer => observers.push(observer),
  }
}

export interface StoreOptions {
  observers: readonly Observer[]
  /** Writes state.json; `durable` asks for fsync. */
  write: (state: RestoreState, durable: boolean) => void
  onWriteError: (error: unknown) => void
  onObserverError: (error: unknown) => void
}

const isDurable = (before: RestoreState, after: RestoreState): boolean =>
  after.endedSpans.length > 0 ||
  after.spans !== before.spans ||
  after.tools !== before.tools ||
  after.plan !== before.plan ||
  after.phase !== before.phase ||
  after.status !== before.status ||
  after.agentPid !== before.agentPid

/** Atomic: a reader sees the old state or the new one, whole; with `durable`, also after a power cut. */
export function writeStateFile(path: string, state: RestoreState, durable: boolean): void {
  const { endedSpans: _transient, ...persisted } = state
  const temporary = `${path}.tmp`
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeFileSync(file, JSON.stringify(persisted))
    if (durable) fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  if (!durable) return
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
