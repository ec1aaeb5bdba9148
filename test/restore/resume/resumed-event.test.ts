import { describe, expect, test } from 'vitest'
import { reduce } from '../../../src/restore/state/reduce.ts'
import type { EventOf, RestoreState } from '../../../src/restore/state/state.ts'
import { blankState } from '../../support/blank-state.ts'
import { resumed } from '../../support/resumed.ts'
import { finishedIn, runsOf } from '../../support/runs.ts'
import { samplePlan, T0 } from '../../support/samples.ts'

const interrupted = (changes: Partial<RestoreState>): RestoreState => ({
  ...blankState('r1', '0af7651916cd43dd8448eb211c80319c', 'abcdef01', T0),
  bootId: 'first',
  ...changes,
})

const resumedIn = (
  state: RestoreState,
  bootId: string,
  adopted = false,
  changes: Partial<Pick<EventOf<'resumed'>, 'options' | 'plan'>> = {},
): RestoreState =>
  reduce(state, resumed(state, { bootId, adopted, agentPid: 2, ...changes, atMs: T0 + 9000, lastSeenAtMs: T0 + 1000 }))

const prepared = { runs: runsOf([], ['1-extract', '1-fetch', '1-prepare']) }

test('in the same boot what is finished stays finished', () => {
  const state = resumedIn(interrupted(prepared), 'first')
  expect(state).toMatchObject({ runs: prepared.runs, interruptions: 1, agentPid: 2, bootId: 'first' })
})

test('after a reboot nothing is trusted that may not have reached the disk', () => {
  expect(finishedIn(resumedIn(interrupted(prepared), 'second'))).toEqual([])
})

describe('after a reboot', () => {
  const rebooted = (moveBack: { copyBytes: number }, ...finished: string[]) => {
    const plan = { ...samplePlan(), moveBack: { files: 9, ...moveBack } }
    return resumedIn(interrupted({ plan, runs: [...prepared.runs, ...runsOf([], finished)] }), 'second')
  }
  const [RENAMED, COPIED] = [{ copyBytes: 0 }, { copyBytes: 100 }]

  test('what was prepared stands where it was synced, whatever moves it', () => {
    for (const how of [RENAMED, COPIED])
      expect(rebooted(how, '1-sync')).toMatchObject({
        runs: expect.arrayContaining(prepared.runs),
        cleanup: { removing: false },
      })
  })

  test('what was renamed after a sync stands, and is looked at once more', () => {
    const state = rebooted(RENAMED, '1-sync', '1-move_back')
    expect(finishedIn(state)).toEqual(['1-extract', '1-fetch', '1-prepare', '1-sync'])
    expect(state.cleanup.removing).toBe(false)
  })

  test('what was copied stands after the final sync only; before, all that was created goes', () => {
    expect(rebooted(COPIED, '1-sync', '1-move_back')).toMatchObject({ cleanup: { removing: true } })
    expect(finishedIn(rebooted(COPIED, '1-sync', '1-move_back'))).toEqual([])
    const synced = rebooted(COPIED, '1-sync', '1-move_back', '1-final_sync')
    expect(finishedIn(synced)).toContain('1-move_back')
    expect(synced.cleanup.removing).toBe(false)
  })

  test('nothing stands that was moved without a sync, nor what an unknown kind of move had begun', () => {
    expect(finishedIn(rebooted(RENAMED, '1-move_back'))).toEqual([])
    const unknown = interrupted({ plan: samplePlan(), runs: runsOf(['1-move_back'], ['1-prepare', '1-sync']) })
    expect(finishedIn(resumedIn(unknown, 'second'))).toEqual([])
  })

  test('a directory consumed in place is not removed', () => {
    const plan = { ...samplePlan(), inPlace: true }
    expect(resumedIn(interrupted({ plan, ...prepared }), 'second').cleanup.removing).toBe(false)
  })
})

test('spans of an interrupted attempt end when its agent was last seen, those of adopted tools go on', () => {
  const attempt = {
    id: 'abcdef0100000002',
    parentId: null,
    name: 'attempt',
    startedAtMs: T0,
    attributes: {},
    links: [],
  }
  const state = interrupted({ spans: [{ ...attempt, kind: 'attempt' }] })
  expect(resumedIn(state, 'first').endedSpans).toMatchObject([
    { id: attempt.id, endedAtMs: T0 + 1000, error: { code: 'interrupted' } },
  ])
  expect(resumedIn(state, 'first', true)).toMatchObject({ spans: [{ id: attempt.id }], endedSpans: [] })
})

test('what is asked for now holds at once: thresholds, and memory without the cap that an earlier one was given', () => {
  const before = interrupted({ memoryCapBytes: 1000 })
  const options = { ...before.options, stallTimeoutMs: 7000, stallThresholds: { flush: 9000 } }
  const state = resumedIn(before, 'first', true, { options })
  expect(before.progress.stallThresholdMs).not.toBe(7000)
  expect(state).toMatchObject({ options, progress: { stallThresholdMs: 7000 }, memoryCapBytes: 1000 })
  const withMemory = resumedIn(before, 'first', true, { options: { ...options, memory: 2000 } })
  expect(withMemory).toMatchObject({ memoryCapBytes: null })
})

test('a plan that holds no more goes, and what was noted with it', () => {
  const cleanup = { created: [], partialDatadir: null, returnFilesTo: '/backups/full', parents: [], removing: false }
  const before = interrupted({ plan: samplePlan(), chainLength: 1, cleanup })
  expect(resumedIn(before, 'first', false, { plan: null })).toMatchObject({
    plan: null,
    chainLength: 0,
    cleanup: { returnFilesTo: null, parents: [], removing: false },
  })
  expect(resumedIn(before, 'first')).toMatchObject({ plan: before.plan, chainLength: 1, cleanup })
})
