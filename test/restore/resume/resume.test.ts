import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RestoreOptions } from '../../../src/config/options.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import { resumeSession, startSession } from '../../../src/restore/session.ts'
import { reduce } from '../../../src/restore/state/reduce.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
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
    expect(last.notices).toContain('the restore goes on; now with parallel 7 (was 2), prefetch off (was auto)')
    expect(last).toMatchObject({ status: 'failed', error: { code: 'source_missing' } })
  },
)

test('a daemon that does not know the backup any more goes on as it was begun', async () => {
  const found = interrupted()
  const { first, last } = await goneOn(found, null, 'serve')
  expect(first).toMatchObject({ options: found.options, plan: found.plan })
  expect(last.notices.join('\n')).not.toContain('goes on')
})
