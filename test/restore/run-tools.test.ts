import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RestoreError } from '../../src/errors.ts'
import type { RestoreContext } from '../../src/restore/context.ts'
import { runTools } from '../../src/restore/run-tools.ts'
import { createStore } from '../../src/restore/store.ts'
import { createToolLock } from '../../src/restore/tool-lock.ts'
import { sampleState, scratch, T0 } from './samples.ts'

test('an abort in the instant in which the tools are started ends them as well', async () => {
  const runDir = scratch()
  const controller = new AbortController()
  const toolLock = createToolLock(join(runDir, 'lock'))
  const store = createStore(
    sampleState({}),
    { type: 'restore_started', atMs: T0 },
    { observers: [], write() {}, onWriteError() {}, onObserverError() {} },
  )
  const context = { store, toolLock, runDir, signal: controller.signal, now: Date.now, toolEnv: () => ({}) }
  const begunAtMs = performance.now()
  const running = runTools(context as Partial<RestoreContext> as RestoreContext, {
    label: 'sleeper',
    position: 1,
    stages: [{ command: { file: 'sleep', args: ['60'] }, grammar: () => [] }],
    judge: () => null,
    stdin: 'ignore',
  })
  // As an element fetched ahead does when it fails at once: before the tools' starter hears of the abort.
  queueMicrotask(() => controller.abort(new RestoreError('source_missing', 'ahead')))
  await expect(running).rejects.toMatchObject({ code: 'source_missing' })
  expect(performance.now() - begunAtMs).toBeLessThan(20_000)
  toolLock.release()
})
