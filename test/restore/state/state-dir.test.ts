import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RestoreError } from '../../../src/errors.ts'
import { reduce } from '../../../src/restore/state/reduce.ts'
import {
  ensureStateDir,
  openStateDir,
  parseState,
  readStateFile,
  writeStateFile,
} from '../../../src/restore/state/state-dir.ts'
import { runsOf } from '../../support/runs.ts'
import { samplePlan, sampleState, sampleTool, T0 } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'
import { thrownBy } from '../../support/thrown-by.ts'

test('what was written is read again, whole', () => {
  const path = join(scratch(), 'state.json')
  expect(readStateFile(path)).toBeNull()
  const state = sampleState({ plan: samplePlan(2), tools: [sampleTool()], runs: runsOf(['1-fetch']), attempt: 3 })
  writeStateFile(path, state, true)
  expect(readStateFile(path)).toEqual({ ...state, endedSpans: [] })
})

// schema-2.json: as the schema began. schema-2-binlogs.json: with the fields of transfers and binlogs.
test.each([
  ['schema-2.json', 1],
  ['schema-2-binlogs.json', 2],
])('%s is read ever after, with a default for each field added since', (name, begunRuns) => {
  const content = readFileSync(join(import.meta.dirname, '../../fixtures/state', name), 'utf8')
  const state = parseState(content, 'state.json')
  expect(state).toMatchObject(JSON.parse(content))
  expect(state).toMatchObject({
    status: 'running',
    position: 1,
    plan: { elements: [{}, {}] },
    tools: [{ name: 'mariadb-backup' }],
  })
  expect(state.runs.filter(({ finished }) => !finished)).toHaveLength(begunRuns)
  expect(Object.keys(state).sort()).toEqual(Object.keys(sampleState()).sort())
  expect(reduce(state, { type: 'attempt_started', atMs: T0 + 60_000 })).toMatchObject({ attempt: 2, status: 'running' })
})

test('a state of an older schema ends in a hint to finish it with the version that began it', () => {
  const older = JSON.stringify({ ...sampleState(), schema: 1 })
  expect(() => parseState(older, 'state.json')).toThrow(
    expect.objectContaining({
      code: 'state_unreadable',
      hint: expect.stringMatching(/finish the restore with that version/),
    }),
  )
})

test('what an older agent did not know yet is filled in', () => {
  const { runs: _, cleanup: __, failures: ___, ...older } = sampleState()
  expect(parseState(JSON.stringify(older), 'state.json')).toMatchObject({
    runs: [],
    failures: 0,
    cleanup: { created: [], partialDatadir: null, returnFilesTo: null, parents: [], removing: false },
  })
})

test.each([
  ['not JSON', 'tru', /is not JSON/],
  ['cut', JSON.stringify(sampleState()).slice(0, 500), /is not JSON/],
  ['no object', '[]', /state\.json: /],
  ['of a newer agent', JSON.stringify({ ...sampleState(), schema: 3 }), /schema 3/],
  ['of an older agent', JSON.stringify({ ...sampleState(), schema: 1 }), /schema 1/],
  ['with an id that is a path', JSON.stringify(sampleState({ restoreId: '../x' })), /restoreId/],
  ['with a group that is everybody’s', JSON.stringify(sampleState({ tools: [sampleTool({ pgid: 1 })] })), /pgid/],
])('one that is %s: state_unreadable', (_, content, message) => {
  const path = join(scratch(), 'state.json')
  writeFileSync(path, content)
  expect(() => readStateFile(path)).toThrow(
    expect.objectContaining({ code: 'state_unreadable', message: expect.stringMatching(message) }),
  )
})

test('one that cannot be read: state_unreadable', () => {
  expect(() => readStateFile(scratch())).toThrow(expect.objectContaining({ code: 'state_unreadable' }))
})

describe('a state dir', () => {
  test('is created for this user alone', () => {
    const path = join(scratch(), 'deep/state')
    ensureStateDir(path)
    expect(statSync(path).mode & 0o777).toBe(0o700)
  })

  test.each([0o777, 0o1777, 0o770, 0o702])('that others can write (%o) is refused', mode => {
    const path = join(scratch(), 'state')
    mkdirSync(path)
    chmodSync(path, mode)
    expect(thrownBy(() => openStateDir(path))).toMatchObject({
      code: 'not_permitted',
      message: expect.stringContaining('other users'),
    })
    expect(readdirSync(path)).toEqual([])
  })

  test('a link in it is neither followed nor overwritten through', () => {
    const folder = scratch()
    const target = join(folder, 'target')
    writeFileSync(target, 'precious')
    symlinkSync(target, join(folder, 'state.json.tmp'))
    writeStateFile(join(folder, 'state.json'), sampleState(), true)
    for (const name of ['lock', 'agent.lock']) {
      const path = join(scratch(), 'state')
      mkdirSync(path, { mode: 0o700 })
      symlinkSync(target, join(path, name))
      expect(() => openStateDir(path).toolLock.fd()).toThrow(RestoreError)
    }
    symlinkSync(join(folder, 'state.json'), join(folder, 'linked.json'))
    expect(thrownBy(() => readStateFile(join(folder, 'linked.json')))).toMatchObject({ code: 'state_unreadable' })
    expect(readFileSync(target, 'utf8')).toBe('precious')
  })

  test('that was removed or replaced is not written', () => {
    const path = join(scratch(), 'state')
    const held = openStateDir(path)
    onTestFinished(() => held.release())
    held.write(sampleState(), true)
    renameSync(path, `${path}.old`)
    expect(() => held.write(sampleState(), true)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    mkdirSync(path, { mode: 0o700 })
    expect(() => held.write(sampleState(), true)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    expect(readdirSync(path)).toEqual([])
  })
})
