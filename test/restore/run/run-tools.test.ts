import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RestoreOptions } from '../../../src/config/options.ts'
import { RestoreError } from '../../../src/errors.ts'
import { createToolLock } from '../../../src/process/lock.ts'
import type { RestoreContext } from '../../../src/restore/context.ts'
import { runTools } from '../../../src/restore/run/run-tools.ts'
import type { RunKind } from '../../../src/restore/state/runs.ts'
import { readStateFile, writeStateFile } from '../../../src/restore/state/state-dir.ts'
import { createStore } from '../../../src/restore/state/store.ts'
import { sampleOptions, sampleState, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'
import { until } from '../../support/until.ts'

function setUp(options: Partial<RestoreOptions> = {}) {
  let failure: Error | null = null
  const runDir = scratch()
  const stateFile = join(runDir, 'state.json')
  const controller = new AbortController()
  const toolLock = createToolLock(join(runDir, 'lock'))
  onTestFinished(() => toolLock.release())
  const store = createStore(
    sampleState({ options: sampleOptions(options) }),
    { type: 'restore_started', atMs: T0 },
    {
      observers: [],
      write(state, durable) {
        if (failure !== null) throw failure
        writeStateFile(stateFile, state, durable)
      },
      onWriteError() {},
      onObserverError() {},
    },
  )
  let detached = false
  const context: Partial<RestoreContext> = {
    store,
    toolLock,
    runDir,
    signal: controller.signal,
    detached: () => detached,
    now: Date.now,
    toolEnv: () => ({ TRACEPARENT: '00-1-2-01', AWS_SECRET_ACCESS_KEY: 'hunter2' }),
  }
  return {
    runDir,
    store,
    stateFile,
    controller,
    /** From now on the state cannot be written; null: it can be again. */
    failWrites(code: string | null) {
      failure = code === null ? null : Object.assign(new Error(code), { code })
    },
    detach() {
      detached = true
    },
    run: (kind: RunKind, script: string) =>
      runTools(context as RestoreContext, {
        id: { element: 1, kind },
        stages: [{ command: { file: 'sh', args: ['-c', script] }, grammar: () => [] }],
        judge: () => null,
        stdin: 'ignore',
      }),
  }
}

test('an abort in the instant in which the tools are started ends them as well', async () => {
  const { controller, run } = setUp()
  const begunAtMs = performance.now()
  const running = run('prepare', 'exec sleep 60')
  // As an element fetched ahead does when it fails at once: before the tools' starter hears of the abort.
  queueMicrotask(() => controller.abort(new RestoreError('source_missing', 'ahead')))
  await expect(running).rejects.toMatchObject({ code: 'source_missing' })
  expect(performance.now() - begunAtMs).toBeLessThan(20_000)
})

test('a tool gets the trace context of its span, and no secret of the agent’s environment', async () => {
  const { runDir, run } = setUp()
  await run('prepare', 'env >&2')
  const file = readdirSync(runDir).find(name => name.endsWith('.stderr'))!
  const environment = readFileSync(join(runDir, file), 'utf8')
  expect(environment).toContain('TRACEPARENT=00-1-2-01')
  expect(environment).not.toContain('hunter2')
})

test('that a run has begun is in the file before its tool is there: what was started in the instant of a kill is not trusted', async () => {
  const { runDir, stateFile, run } = setUp()
  const copy = join(runDir, 'state-at-start.json')
  await run('copy', `cp ${stateFile} ${copy}`)
  expect(readStateFile(copy)).toMatchObject({ runs: [{ element: 1, kind: 'copy', finished: false }] })
})

test('detached, it starts nothing', async () => {
  const { runDir, store, run, detach } = setUp()
  detach()
  const told = store.state
  const outcome = await Promise.race([run('prepare', 'true').then(() => 'finished'), sleep(300, 'stands still')])
  expect(outcome).toBe('stands still')
  expect(existsSync(join(runDir, '1-prepare-1-sh.stderr'))).toBe(false)
  expect(store.state).toBe(told)
})

test('detached, it does not hear that a tool has ended; its status file tells the next agent', async () => {
  const { runDir, stateFile, run, detach } = setUp()
  const running = run('prepare', `until [ -e ${runDir}/go ]; do sleep 0.01; done; touch ${runDir}/gone`)
  for (let tries = 0; readStateFile(stateFile)!.tools.length === 0 && tries < 500; tries++) await sleep(10)
  detach()
  writeStateFile(join(runDir, 'go'), sampleState(), false)
  const statusPath = join(runDir, '1-prepare-1-sh.status')
  for (let tries = 0; !existsSync(statusPath) && tries < 500; tries++) await sleep(10)
  expect(readFileSync(statusPath, 'utf8')).toBe('0\n')
  expect(await Promise.race([running.then(() => 'finished'), sleep(300, 'stands still')])).toBe('stands still')
  expect(readStateFile(stateFile)).toMatchObject({ tools: [{ exit: null }], runs: [{ finished: false }] })
})

describe('while the state cannot be written', () => {
  test('no tool is started; as soon as it can be, one is, and its beginning is in the file before', async () => {
    const { runDir, stateFile, store, failWrites, run } = setUp({ stateWaitMs: 60_000 })
    const copy = join(runDir, 'state-at-start.json')
    failWrites('ENOSPC')
    const running = run('prepare', `cp ${stateFile} ${copy}`)
    await until(() => store.state.notices.some(text => /^waiting up to .*ENOSPC/.test(text)))
    await sleep(1500)
    expect(existsSync(join(runDir, '1-prepare-1-sh.stderr'))).toBe(false)
    failWrites(null)
    await running
    expect(readStateFile(copy)).toMatchObject({ runs: [{ element: 1, kind: 'prepare', finished: false }] })
    expect(store.state.notices).toContain('the state can be written again')
  })

  test.each([
    ['ENOSPC', 'disk_full'],
    ['EDQUOT', 'disk_full'],
    ['EACCES', 'not_permitted'],
    ['EROFS', 'read_only'],
    ['ENOENT', 'state_lost'],
  ])('%s for too long ends in %s, and nothing was started', async (code, ends) => {
    const { runDir, failWrites, run } = setUp({ stateWaitMs: 20 })
    failWrites(code)
    await expect(run('move_back', 'true')).rejects.toMatchObject({ code: ends })
    expect(existsSync(join(runDir, '1-move_back-1-sh.stderr'))).toBe(false)
  })

  test('a tool that runs already is left alone', async () => {
    const { store, failWrites, run } = setUp({ stateWaitMs: 20 })
    const running = run('prepare', 'sleep 1; echo done >&2')
    await until(() => store.state.tools.length > 0)
    failWrites('ENOSPC')
    await running
    expect(store.state).toMatchObject({ runs: [{ finished: true }] })
  })

  test('an abort does not wait for it', async () => {
    const { controller, store, failWrites, run } = setUp({ stateWaitMs: 60_000 })
    failWrites('ENOSPC')
    const running = run('prepare', 'true')
    running.catch(() => {})
    await until(() => store.state.notices.length > 0)
    controller.abort(new RestoreError('cancelled', 'SIGINT'))
    await expect(running).rejects.toMatchObject({ code: 'cancelled' })
  })
})
