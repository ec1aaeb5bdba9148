import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseState, readStateFile, writeStateFile } from '../../../src/restore/state/state-file.ts'
import { runsOf } from '../../support/runs.ts'
import { samplePlan, sampleState, sampleTool } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'

test('what was written is read again, whole', () => {
  const path = join(scratch(), 'state.json')
  expect(readStateFile(path)).toBeNull()
  const state = sampleState({ plan: samplePlan(2), tools: [sampleTool()], runs: runsOf(['1-fetch']), attempt: 3 })
  writeStateFile(path, state, true)
  expect(readStateFile(path)).toEqual({ ...state, endedSpans: [] })
})

test('what an older agent did not know yet is filled in', () => {
  const { runs: _, made: __, failures: ___, ...older } = sampleState()
  expect(parseState(JSON.stringify(older), 'state.json')).toMatchObject({
    runs: [],
    failures: 0,
    made: { directories: [], filling: null, giveBackTo: null },
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
