import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createToolLock } from '../../../src/process/lock.ts'
import type { RestoreContext } from '../../../src/restore/context.ts'
import { createStore } from '../../../src/restore/state/store.ts'
import { extract } from '../../../src/restore/steps/extract.ts'
import { openSource } from '../../../src/source/open-source.ts'
import type { StreamSource } from '../../../src/source/source.ts'
import { samplePlan, sampleState, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'

test('a file that a tool has read within a second, too quick for any look at it, is known to be read whole', async () => {
  const runDir = scratch()
  const backup = join(runDir, 'full.xb')
  writeFileSync(backup, Buffer.alloc(3_000_000, 'x'))
  const toolLock = createToolLock(join(runDir, 'lock'))
  onTestFinished(() => toolLock.release())
  const store = createStore(
    sampleState(),
    { type: 'restore_started', atMs: T0 },
    { observers: [], write() {}, onWriteError() {}, onObserverError() {} },
  )
  store.dispatch({ type: 'attempt_started', atMs: T0 })
  store.dispatch({ type: 'planned', atMs: T0, plan: samplePlan() })
  store.dispatch({ type: 'phase_started', atMs: T0, phase: 'restoring_basebackup', position: 1 })
  const context: Partial<RestoreContext> = {
    store,
    toolLock,
    runDir,
    signal: new AbortController().signal,
    detached: () => false,
    now: Date.now,
    toolEnv: () => ({}),
  }
  const source = (await openSource({ kind: 'path', path: backup })) as StreamSource
  onTestFinished(() => source.close())
  const command = { file: 'sh', args: ['-c', 'cat > /dev/null'] }
  await extract(
    context as RestoreContext,
    { kind: 'extract', phase: 'restoring_basebackup', element: 1, stages: [command], into: runDir },
    source,
  )
  expect(store.state.source.readBytes).toBe(3_000_000)
})
