import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Phase } from '../../src/phases.ts'
import { createToolLock } from '../../src/process/lock.ts'
import type { RestoreContext } from '../../src/restore/context.ts'
import type { Plan } from '../../src/restore/plan/plan.ts'
import { createStore, type Store } from '../../src/restore/state/store.ts'
import { samplePlan, sampleState, T0 } from './samples.ts'

/** What one step of a restore works with, in the given phase; nothing is written but the tools' files in `runDir`. */
export function stepContext(
  runDir: string,
  phase: Phase,
  plan: Partial<Plan> = {},
): { context: RestoreContext; store: Store } {
  const toolLock = createToolLock(join(runDir, 'lock'))
  onTestFinished(() => toolLock.release())
  const store = createStore(
    sampleState(),
    { type: 'restore_started', atMs: T0 },
    { observers: [], write() {}, onWriteError() {}, onObserverError() {} },
  )
  store.dispatch({ type: 'attempt_started', atMs: T0 })
  store.dispatch({ type: 'planned', atMs: T0, plan: { ...samplePlan(), ...plan } })
  store.dispatch({ type: 'phase_started', atMs: T0, phase, position: 1 })
  const context: Partial<RestoreContext> = {
    store,
    toolLock,
    runDir,
    signal: new AbortController().signal,
    detached: () => false,
    now: Date.now,
    toolEnv: () => ({}),
  }
  return { context: context as RestoreContext, store }
}
