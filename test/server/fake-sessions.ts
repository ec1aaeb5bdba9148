import { join } from 'node:path'
import type { RestoreOptions } from '../../src/config/options.ts'
import { RestoreError } from '../../src/errors.ts'
import type { RestoreSession, SessionSurroundings } from '../../src/restore/run-session.ts'
import { initialState } from '../../src/restore/state/reduce.ts'
import type { RestoreEvent, RestoreState } from '../../src/restore/state/state.ts'
import { createStore } from '../../src/restore/state/store.ts'
import type { Sessions } from '../../src/server/agent.ts'
import { samplePlan } from './sample-plan.ts'

/** Sessions without tools: the real store and reducer, and events that the test makes up. */
export interface FakeSessions extends Sessions {
  /** Those begun so far. */
  sessions: FakeSession[]
  /** What the next start, or resume, does instead. */
  refuseWith: RestoreError | null
  /** Where set, `resumeSession` finds an interrupted restore. */
  interrupted: RestoreOptions | null
  /** And the name that it was asked for by. */
  interruptedName: string | null
  /** Holds the next session back until it resolves. */
  hold: Promise<void> | null
}

export interface FakeSession extends RestoreSession {
  options: RestoreOptions
  dispatch(event: EventWithoutTime): void
  /** To this phase of this element, with a plan. */
  goTo(phase: RestoreState['phase'], position?: number): void
  end(error?: RestoreError): void
  detached: boolean
  killed: boolean
}

type EventWithoutTime = RestoreEvent extends infer E ? (E extends unknown ? Omit<E, 'atMs'> : never) : never

export function fakeSessions(): FakeSessions {
  const fake: FakeSessions = {
    sessions: [],
    refuseWith: null,
    interrupted: null,
    interruptedName: null,
    hold: null,
    async startSession(options, surroundings, backup) {
      if (fake.hold) await fake.hold
      if (fake.refuseWith) throw fake.refuseWith
      return begin(options, surroundings, false, backup)
    },
    async resumeSession(_stateDir, askedNow, surroundings) {
      if (fake.refuseWith) throw fake.refuseWith
      if (fake.interrupted === null) return null
      const found = { options: fake.interrupted } as RestoreState
      return begin(askedNow(found) ?? fake.interrupted, surroundings, true, fake.interruptedName)
    },
  }

  function begin(
    options: RestoreOptions,
    surroundings: SessionSurroundings,
    resumed: boolean,
    backup: string | null = null,
  ): FakeSession {
    const restoreId = `restore-${fake.sessions.length + 1}`
    const { promise: done, resolve } = Promise.withResolvers<RestoreState>()
    const state = initialState(
      {
        restoreId,
        agentPid: process.pid,
        bootId: 'boot',
        options,
        backup,
        ...surroundings.beginTrace(),
        attributes: {},
      },
      Date.now(),
    )
    const store = createStore(
      state,
      { type: 'restore_started', atMs: Date.now() },
      {
        observers: surroundings.observers,
        write() {},
        onWriteError: error => {
          throw error
        },
        onObserverError: error => {
          throw error
        },
      },
    )
    const session: FakeSession = {
      store,
      options,
      runDir: join(options.stateDir, restoreId),
      resumed,
      done,
      detached: false,
      killed: false,
      dispatch: event => store.dispatch({ ...event, atMs: Date.now() } as RestoreEvent),
      goTo(phase, position = 1) {
        if (store.state.plan === null) session.dispatch({ type: 'planned', plan: samplePlan(options) })
        session.dispatch({ type: 'phase_started', phase, position })
      },
      end(error) {
        const status = error === undefined ? 'succeeded' : error.code === 'cancelled' ? 'cancelled' : 'failed'
        const phase = error === undefined ? 'completed' : 'failed'
        session.dispatch({ type: 'ended', status, phase, error: error?.record ?? null })
        resolve(store.state)
      },
      abort: reason => setImmediate(() => session.end(reason)),
      notice: text => session.dispatch({ type: 'notice', text }),
      markReported() {},
      kill() {
        session.killed = true
      },
      async detach() {
        session.detached = true
      },
    }
    fake.sessions.push(session)
    session.dispatch({ type: 'attempt_started' })
    return session
  }

  return fake
}

export const diskFull = () =>
  new RestoreError('disk_full', '/var/lib/mysql: no space left', { lastWords: ['errno 28'] })
