import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RestoreOptions } from '../../../src/config/options.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import { identityOf } from '../../../src/restore/resume/cleanup.ts'
import { resumeSession, startSession } from '../../../src/restore/session.ts'
import { reduce } from '../../../src/restore/state/reduce.ts'
import type { RestoreEvent, RestoreState } from '../../../src/restore/state/state.ts'
import { writeStateFile } from '../../../src/restore/state/state-dir.ts'
import { localPathOf } from '../../../src/source/source-ref.ts'
import { randomTrace } from '../../../src/telemetry/off.ts'
import { runOf } from '../../support/runs.ts'
import { sampleOptions, sampleParts, sampleState } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'
import { refs } from '../../support/source-refs.ts'

/** An interrupted restore, found in a state dir: looked at, its element being brought. */
function interrupted(): RestoreState {
  const folder = scratch()
  const options = sampleOptions({
    sources: refs(join(folder, 'full.xb')),
    datadir: join(folder, 'data'),
    stateDir: join(folder, 'state'),
    parallel: 2,
    retries: 0,
  })
  const elements = [{ source: options.sources[0]! }]
  const plan = makePlan({
    ...sampleParts({ options, elements, toolVersion: '10.11.19' }),
    restoreId: 'r1',
    parallel: 2,
  })
  const state = [
    { type: 'attempt_started', atMs: 1 } as const,
    { type: 'planned', atMs: 2, plan } as const,
    { type: 'run_begun', atMs: 3, run: runOf('1-fetch') } as const,
  ].reduce(reduce, sampleState({ options }))
  mkdirSync(options.stateDir, { mode: 0o700 })
  writeFileSync(join(options.stateDir, 'state.json'), JSON.stringify(state), { mode: 0o600 })
  return state
}

/**
 * Goes on with it to its end, which comes at once: there is no such backup. The state under the new agent, and the
 * last.
 */
async function goneOn(
  found: RestoreState,
  ask: Partial<RestoreOptions> | null,
  how: 'command' | 'serve',
): Promise<{ first: RestoreState; last: RestoreState }> {
  const states: RestoreState[] = []
  const surroundings = {
    observers: [{ observe: (state: RestoreState) => states.push(state) }],
    beginTrace: () => ({ trace: randomTrace(), link: null }),
    childEnv: () => ({}),
    warn: () => {},
  }
  const { options } = found
  const session =
    how === 'command'
      ? await startSession({ ...options, ...ask }, surroundings)
      : await resumeSession(options.stateDir, seen => ask && { ...seen.options, ...ask }, surroundings)
  const last = await session!.done
  return { first: states[0]!, last }
}

test.each(['command', 'serve'] as const)(
  'by %s: with the options that are given now, from the first state on',
  async how => {
    const { first, last } = await goneOn(interrupted(), { parallel: 7, prefetch: false, json: true }, how)
    expect(first.options).toMatchObject({ parallel: 7, prefetch: false, json: true })
    const moveBack = first.plan!.steps.find(({ kind }) => kind === 'move_back')
    expect(moveBack).toMatchObject({ command: { args: expect.arrayContaining(['--parallel=7']) } })
    expect(last.notices).toContain('the restore resumes, now with parallel 7 (was 2), prefetch off (was auto)')
    expect(last).toMatchObject({ status: 'failed', error: { code: 'source_missing' } })
  },
)

test('a daemon that does not know the backup any more goes on as it was begun', async () => {
  const found = interrupted()
  const { first, last } = await goneOn(found, null, 'serve')
  expect(first).toMatchObject({ options: found.options, plan: found.plan })
  expect(last.notices.join('\n')).not.toContain('goes on')
})

describe('a success that nobody was told of', () => {
  /** The agent died between the last write of its state and its report. */
  function unreported(changes: Partial<RestoreOptions> = {}) {
    const { options } = interrupted()
    mkdirSync(options.datadir)
    writeFileSync(join(options.datadir, 'ibdata1'), 'x')
    writeFileSync(localPathOf(options.sources[0]!)!, 'backup')
    const ended: RestoreState = reduce(sampleState({ options, startedAtMs: Date.now() + 60_000 }), {
      type: 'ended',
      atMs: Date.now(),
      status: 'succeeded',
      phase: 'completed',
      error: null,
      datadirIdentity: identityOf(options.datadir),
    })
    writeStateFile(join(options.stateDir, 'state.json'), ended, true)
    const events: string[] = []
    const surroundings = {
      observers: [{ observe: (_: RestoreState, event: RestoreEvent) => void events.push(event.type) }],
      beginTrace: () => ({ trace: randomTrace(), link: null }),
      childEnv: () => ({}),
      warn: (text: string) => expect.fail(text),
    }
    const start = () => startSession({ ...options, ...changes }, surroundings)
    return { options, events, start }
  }

  test('is reported once by the same command; then the datadir is not empty, and the hint tells of it', async () => {
    const { events, start } = unreported()
    for (let call = 0; call < 2; call++) {
      const session = await start()
      expect(await session.done).toMatchObject({ restoreId: 'r1', status: 'succeeded', error: null })
      if (call === 1) session.markReported() // the first agent died once more before it could
    }
    expect(events).toEqual(['ended', 'ended'])
    for (let call = 0; call < 2; call++) {
      const last = await (await start()).done
      expect(last).toMatchObject({ status: 'failed', earlier: { restoreId: 'r1' } })
      expect(last.error).toMatchObject({
        code: 'datadir_not_empty',
        hint: expect.stringMatching(/^restore r1 of .* succeeded at /),
      })
    }
  })

  test('is not reported where the datadir is another one by now', async () => {
    const { options, start } = unreported()
    rmSync(options.datadir, { recursive: true })
    expect((await (await start()).done).status).toBe('failed')
  })

  test('is not reported to a command that asks for another restore', async () => {
    const { start } = unreported({ sources: refs('/nowhere/other.xb') })
    expect((await (await start()).done).status).toBe('failed')
  })
})
