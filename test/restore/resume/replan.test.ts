import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RestoreOptions } from '../../../src/config/options.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import type { Plan } from '../../../src/restore/plan/plan.ts'
import { changeOptions, replan } from '../../../src/restore/resume/option-changes.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { runOf, runsOf } from '../../support/runs.ts'
import { sampleOptions, sampleParts, sampleState, sampleTool, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'
import { refs } from '../../support/source-refs.ts'

const MiB = 1024 ** 2

/** Two elements, the first of them prepared. */
function found(changes: Partial<RestoreState> = {}, parts: Parameters<typeof sampleParts>[0] = {}): RestoreState {
  const options = sampleOptions({
    parallel: 1,
    sources: refs('/backups/full.xb', '/backups/inc1.xb'),
    ...parts?.options,
  })
  const plan = makePlan({ ...sampleParts({ elements: [{}, {}], ...parts, options }), restoreId: 'r1' })
  return sampleState({
    options,
    plan,
    runs: runsOf(['1-fetch', '1-extract', '1-prepare'], ['1-extract', '1-fetch', '1-prepare']),
    cleanup: { created: [plan.targetDir], partialDatadir: null, returnFilesTo: null, parents: [], removing: false },
    ...changes,
  })
}

function replanned(before: RestoreState, asked: Partial<RestoreOptions>, runDir = '/state/r1'): Plan {
  const changes = changeOptions(before, { ...before.options, ...asked })
  return replan({ ...before, options: changes.options }, changes, runDir)!
}

const commandOf = (plan: Plan, kind: string): string =>
  plan.steps
    .filter(step => step.kind === kind)
    .map(step => ('command' in step ? step.command.args : 'stages' in step ? step.stages.at(-1)!.args : []).join(' '))
    .at(-1)!

test('with the same options it is the same plan', () => {
  expect(replanned(found(), {})).toEqual(found().plan)
})

test('a command in the state file is none that is run', () => {
  const before = found()
  const steps = before.plan!.steps.map(step => ({ ...step, command: { file: '/bin/sh', args: ['-c', 'echo'] } }))
  const plan = replanned({ ...before, plan: { ...before.plan!, steps } as Plan }, {})
  expect(plan).toEqual(before.plan)
})

test('the steps that are left are those of the options that are given now', () => {
  const [uid, gid] = [process.getuid!(), process.getgid!()]
  const owner = { user: String(uid), group: String(gid) }
  const plan = replanned(found(), { parallel: 7, owner, deadlineMs: T0 + 1 })
  expect(commandOf(plan, 'extract')).toContain('-p 7')
  expect(commandOf(plan, 'move_back')).toContain('--parallel=7')
  expect(plan).toMatchObject({ owner: { uid, gid }, deadlineMs: T0 + 1 })
  expect(plan.steps.map(({ kind }) => kind)).toContain('ownership')
})

test('a prepare that runs keeps its memory: each that follows chooses its own', () => {
  const before = found({ tools: [sampleTool({ run: runOf('2-prepare') })] })
  expect(replanned(before, { memory: 64 * MiB }).memory).toEqual(before.plan!.memory)
})

test('a datadir that was made by the restore does not say whose it shall be', () => {
  const folder = scratch()
  const datadir = join(folder, 'data')
  mkdirSync(datadir)
  const isRoot = process.getuid!() === 0
  if (isRoot) chownSync(folder, 1234, 1235)
  const partialDatadir = { datadir, existed: false, identity: null }
  const options = { datadir, owner: { user: '1', group: '1' } }
  const before = found(
    { cleanup: { created: [], partialDatadir, returnFilesTo: null, parents: [], removing: false } },
    { options },
  )
  expect(replanned(before, { owner: null }).owner).toEqual(
    isRoot ? expect.objectContaining({ uid: 1234, gid: 1235 }) : null,
  )
})

test.each<[what: string, code: string, asked: Partial<RestoreOptions>]>([
  ['more memory than there is', 'memory', { memory: 2 ** 52 }],
  ['an owner who is not there', 'ownership_failed', { owner: { user: 'no-such-user', group: '0' } }],
])('%s is refused before anything has changed', (_, code, asked) => {
  expect(() => replanned(found(), asked)).toThrow(expect.objectContaining({ code }))
})

test('memory is nobody to ask about when no prepare is left', () => {
  const before = found()
  const done = { ...before, runs: [...before.runs, ...runsOf([], ['2-extract', '2-fetch', '2-prepare'])] }
  expect(replanned(done, { memory: 2 ** 52 })).toMatchObject({ memory: before.plan!.memory })
})

test('a key is asked for as long as an encrypted element is needed', () => {
  const folder = scratch()
  const key = join(folder, 'key')
  const encrypted = { description: { layers: ['gpg' as const] } }
  const before = found({}, { elements: [{}, encrypted], options: { decryptKeyFile: join(folder, 'old') } })
  const asked = { decryptKeyFile: key }
  expect(() => replanned(before, asked, folder)).toThrow(expect.objectContaining({ code: 'key_missing' }))
  expect(() => replanned(before, { decryptKeyFile: null }, folder)).toThrow(
    expect.objectContaining({ code: 'key_missing' }),
  )
  writeFileSync(key, 'secret')
  const step = replanned(before, asked, folder).steps.find(({ kind, element }) => kind === 'extract' && element === 2)
  expect(step).toMatchObject({ stages: [{ file: 'gpg', args: expect.arrayContaining([key]) }, {}] })
  const fetched = { ...before, runs: [...before.runs, ...runsOf([], ['2-extract', '2-fetch'])] }
  expect(replanned(fetched, { decryptKeyFile: null }, folder)).toMatchObject({ elements: [{}, {}] })
  // Its prepare was cut short: it is fetched again.
  const cut = { ...fetched, runs: [...fetched.runs, ...runsOf(['2-prepare'])] }
  expect(() => replanned(cut, { decryptKeyFile: null }, folder)).toThrow(
    expect.objectContaining({ code: 'key_missing' }),
  )
})
