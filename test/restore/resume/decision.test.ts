import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decide,
  type Found,
  INTERRUPTED,
  needsBytes,
  REBOOTED,
  standsWithoutTools,
} from '../../../src/restore/resume/decision.ts'
import { RUN_KINDS, type RunRecord } from '../../../src/restore/state/runs.ts'
import { emptyLedger } from '../../../src/restore/state/state-schema.ts'
import { samplePlan, sampleState, sampleTool } from '../../support/samples.ts'

const bool = fc.boolean()
const found: fc.Arbitrary<Found> = fc.oneof(
  fc.record({
    what: fc.constantFrom(
      'tools' as const,
      'removal',
      'fetch',
      'sync',
      'relay_logs',
      'apply',
      'start_check',
      'final_sync',
    ),
  }),
  fc.record({
    what: fc.constant('prepare' as const),
    tool: fc.constantFrom('mariadb-backup' as const, 'xtrabackup'),
    isFull: bool,
    inPlace: bool,
    isInBase: bool,
    redoIsLost: bool,
  }),
  fc.record({
    what: fc.constant('move_back' as const),
    begun: bool,
    inPlace: bool,
    isUnsynced: bool,
    datadir: fc.constantFrom('ours' as const, 'served', 'replaced', 'gone'),
    hasTargetDir: bool,
    isComplete: bool,
  }),
)
const everything = { numRuns: 2000 }

describe('an interrupted run', () => {
  test('has exactly one row, and every row applies to something', () => {
    const used = new Set<number>()
    fc.assert(
      fc.property(found, one => {
        const rows = INTERRUPTED.flatMap((row, index) => (row.when(one) ? [index] : []))
        expect(rows).toHaveLength(1)
        used.add(rows[0]!)
      }),
      everything,
    )
    expect(used.size).toBe(INTERRUPTED.length)
  })

  test('that ends the restore undoes and removes nothing', () => {
    fc.assert(
      fc.property(found, one => {
        const { end, undone, removed } = decide(one)
        if (end !== null) expect({ undone, removed }).toEqual({ undone: 'nothing', removed: 'nothing' })
      }),
      everything,
    )
  })

  test('of a prepare: the deltas of an incremental are never used twice, and xtrabackup’s base never again', () => {
    fc.assert(
      fc.property(found, one => {
        if (one.what !== 'prepare') return
        const { undone, removed, end } = decide(one)
        if (!one.isFull && end === null) expect(undone).toMatch(/element$/)
        if (one.tool === 'xtrabackup' || one.isInBase)
          expect(end ?? undone).toBe(one.inPlace ? 'not_prepared' : 'the chain up to this element')
        // A directory consumed in place has no other source: neither it nor the chain on it is removed.
        if (one.inPlace && one.isFull) expect(removed).toBe('nothing')
        if (one.inPlace) expect(removed).not.toBe('their directories')
      }),
      everything,
    )
  })

  test('of a move-back: what is not certainly this restore’s own is neither continued nor removed', () => {
    fc.assert(
      fc.property(found, one => {
        if (one.what !== 'move_back' || !one.begun) return
        const { end, removed, finished } = decide(one)
        if (one.datadir === 'replaced') expect(end).not.toBeNull()
        if (one.datadir === 'served' && one.hasTargetDir) expect(end).not.toBeNull()
        if (one.inPlace && one.isUnsynced) expect(end).toBe('not_prepared')
        if (removed === 'half copies') expect(one).toMatchObject({ datadir: 'ours', hasTargetDir: true })
        if (finished) expect(one).toMatchObject({ isComplete: true, hasTargetDir: false })
      }),
      everything,
    )
  })
})

const runs: fc.Arbitrary<RunRecord[]> = fc.uniqueArray(
  fc.record({ element: fc.constantFrom(1, 2), kind: fc.constantFrom(...RUN_KINDS), finished: bool }),
  { selector: ({ element, kind }) => `${element}-${kind}` },
)

describe('after a reboot', () => {
  const state = fc.record({ runs, inPlace: bool, copyBytes: fc.constantFrom(null, 0, 100) }).map(one => {
    const moveBack = one.copyBytes === null ? null : { files: 3, copyBytes: one.copyBytes }
    const plan = { ...samplePlan(2), inPlace: one.inPlace, moveBack }
    return sampleState({ plan, runs: one.runs, cleanup: { ...emptyLedger(), created: ['/data/mysql.restore-r1'] } })
  })

  test('exactly one row applies', () => {
    fc.assert(
      fc.property(fc.record({ runs, inPlace: bool, copies: bool }), one => {
        expect(REBOOTED.filter(row => row.when(one))).toHaveLength(1)
      }),
      everything,
    )
  })

  test('no run counts as finished that was not, and none is forgotten', () => {
    fc.assert(
      fc.property(state, before => {
        const { runs: after } = standsWithoutTools(before, 'another boot')
        expect(after.map(({ element, kind }) => [element, kind])).toEqual(
          before.runs.map(({ element, kind }) => [element, kind]),
        )
        for (const [index, run] of after.entries()) if (run.finished) expect(before.runs[index]!.finished).toBe(true)
      }),
      everything,
    )
  })

  test('what may not have reached the disk is not believed, and a directory consumed in place is not removed', () => {
    fc.assert(
      fc.property(state, before => {
        const has = (kind: string) => before.runs.some(run => run.finished && run.kind === kind)
        const { runs: after, cleanup } = standsWithoutTools(before, 'another boot')
        if (!has('sync') && !has('final_sync')) expect(after.filter(({ finished }) => finished)).toEqual([])
        // Where apply had begun, the restore ends.
        if (!has('final_sync') && !before.runs.some(({ kind }) => kind === 'apply'))
          expect(after.filter(({ kind, finished }) => kind === 'relay_logs' && finished)).toEqual([])
        if (before.plan!.inPlace) expect(cleanup.removing).toBe(false)
      }),
      everything,
    )
  })

  test('in the same boot everything stands as it was recorded', () => {
    fc.assert(
      fc.property(state, before => {
        expect(standsWithoutTools(before, before.bootId)).toEqual({ runs: before.runs, cleanup: before.cleanup })
      }),
    )
  })
})

test('an element’s bytes are needed until it is fetched, and again after an interrupted prepare of it or a later one', () => {
  const state = (...all: RunRecord[]) => sampleState({ plan: samplePlan(2), runs: all })
  const run = (element: number, kind: RunRecord['kind'], finished: boolean) => ({ element, kind, finished })
  expect(needsBytes(state(), 1)).toBe(true)
  expect(needsBytes(state(run(1, 'fetch', true)), 1)).toBe(false)
  const cut = state(run(1, 'fetch', true), run(2, 'fetch', true), run(2, 'prepare', false))
  expect([needsBytes(cut, 1), needsBytes(cut, 2)]).toEqual([true, true])
  expect(needsBytes({ ...cut, tools: [sampleTool()] }, 1)).toBe(false)
})

describe('the README', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../src/restore/README.md'), 'utf8')
  const rowsAfter = (head: string): string[] => {
    const [, , ...rows] = readme.slice(readme.indexOf(head)).split('\n')
    return rows.slice(0, rows.indexOf(''))
  }
  const asRow = (...cells: string[]) => `| ${cells.join(' | ')} |`

  test('has the rows of the table that decides about interrupted runs', () => {
    expect(rowsAfter('| found | what stands |')).toEqual(
      INTERRUPTED.map(({ found: what, stands, undone, removed, end }) =>
        asRow(what, stands, undone, removed, end === null ? 'it continues' : `\`${end}\``),
      ),
    )
  })

  test('has the rows of the table that decides after a reboot', () => {
    expect(rowsAfter('| recorded | what stands |')).toEqual(
      REBOOTED.map(({ found: what, stands, interrupted, removed }) => asRow(what, stands, interrupted, removed)),
    )
  })
})
