import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonState } from '../../src/cli/views/json-view.ts'
import { PHASES, STEPS } from '../../src/phases.ts'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { restoreSchema, restoreStatusSchema } from '../../src/server/api-schema.ts'
import { restoreBody, restoreStatusBody } from '../../src/server/restore-body.ts'
import { refs } from '../support/source-refs.ts'
import { sampleState } from '../telemetry/sample-state.ts'
import { samplePlan } from './sample-plan.ts'

const CHAIN = { sources: refs('/b/full.xb', '/b/inc1.xb', '/b/inc2.xb'), datadir: '/data' }
const facts = { backup: 'night' }
const chainState = (changes: Partial<RestoreState>) =>
  sampleState({ plan: samplePlan(CHAIN), chainLength: 3, ...changes })
const myHoard = (changes: Partial<RestoreState>) => restoreStatusBody(restoreBody(chainState(changes), facts))
const withProgress = (progress: Partial<RestoreState['progress']>) => ({ ...sampleState().progress, ...progress })

test('the fields of MyHoard come first, under its names and in its order', () => {
  expect(Object.keys(myHoard({})).slice(0, 11)).toEqual([
    'basebackup_compressed_bytes_downloaded',
    'basebackup_compressed_bytes_total',
    'basebackup_prepare_progress',
    'binlogs_being_restored',
    'binlogs_pending',
    'binlogs_restored',
    'phase',
    'current_backup_name',
    'current_backup_incremental',
    'restore_chain_index',
    'restore_chain_total',
  ])
})

test('before the backup was looked at: 1 of 1, by the name asked for, and no size', () => {
  expect(restoreStatusBody(restoreBody(sampleState(), facts))).toMatchObject({
    basebackup_compressed_bytes_downloaded: 0,
    basebackup_compressed_bytes_total: null,
    current_backup_name: 'night',
    current_backup_incremental: null,
    restore_chain_index: 1,
    restore_chain_total: 1,
  })
})

test('bytes are summed over the chain, and never fall as it goes on', () => {
  const at = (phase: RestoreState['phase'], position: number, readBytes: number | null) =>
    myHoard({ phase, position, source: { readBytes, totalBytes: position * 1000 } })
  const seen = [
    at('restoring_basebackup', 1, null),
    at('restoring_basebackup', 1, 400),
    // The last look at the descriptor came before the end.
    at('preparing_backup', 1, 900),
    at('restoring_basebackup', 2, 5),
    at('preparing_backup', 2, 2000),
    at('restoring_basebackup', 3, 0),
    at('finalizing', 3, null),
  ]
  expect(seen.map(body => body.basebackup_compressed_bytes_downloaded)).toEqual([0, 400, 1000, 1005, 3000, 3000, 6000])
  for (const body of seen) expect(body.basebackup_compressed_bytes_total).toBe(6000)
  expect(seen[3]).toMatchObject({
    current_backup_name: 'inc1.xb',
    current_backup_incremental: true,
    restore_chain_index: 2,
    restore_chain_total: 3,
  })
})

test('a new attempt begins at the first element again', () => {
  const body = myHoard({ position: 0, attempt: 2 })
  expect(body).toMatchObject({
    restore_chain_index: 1,
    restore_chain_total: 3,
    basebackup_compressed_bytes_downloaded: 0,
  })
})

test('prepare progress is there in its phase only, and 100 during move-back', () => {
  const progress = withProgress({ scanPercent: 41 })
  const at = (phase: RestoreState['phase'], step: RestoreState['step'] = null) =>
    myHoard({ phase, step, position: 1, progress }).basebackup_prepare_progress
  expect(at('restoring_basebackup')).toBe(null)
  expect(at('preparing_backup', 'redo_scan')).toBe(41)
  expect(at('preparing_backup', 'undo_rollback')).toBe(41)
  expect(at('preparing_backup', 'move_back')).toBe(100)
  for (const phase of ['finalizing', 'completed', 'failed'] as const) expect(at(phase)).toBe(null)
  const unknown = myHoard({ phase: 'preparing_backup', position: 1, progress: withProgress({ scanPercent: null }) })
  expect(unknown.basebackup_prepare_progress).toBe(null)
})

test('a percent is cut, never rounded up', () => {
  expect(myHoard({ progress: withProgress({ phasePercent: 99.9999 }) }).progress.percent).toBe(99.99)
})

const arbitraryState = fc
  .record({
    phase: fc.constantFrom(...PHASES),
    step: fc.option(fc.constantFrom(...Object.values(STEPS).flat())),
    position: fc.integer({ min: 0, max: 3 }),
    attempt: fc.integer({ min: 0, max: 5 }),
    planned: fc.boolean(),
    source: fc.record({
      readBytes: fc.option(fc.integer({ min: 0, max: 2 ** 50 })),
      totalBytes: fc.option(fc.integer({ min: 0, max: 2 ** 50 })),
    }),
    rollbackRows: fc.option(fc.nat()),
    status: fc.constantFrom('running', 'succeeded', 'failed', 'cancelled'),
    notices: fc.array(fc.string(), { maxLength: 3 }),
    progress: fc.record({
      phasePercent: fc.option(fc.double({ min: 0, max: 100, noNaN: true })),
      restorePercent: fc.option(fc.double({ min: 0, max: 100, noNaN: true })),
      scanPercent: fc.option(fc.integer({ min: 0, max: 100 })),
      eta: fc.option(
        fc.integer({ min: 0, max: 4e12 }).map(atMs => ({ atMs, earliestMs: atMs - 5, latestMs: atMs + 7 })),
      ),
      quietSinceMs: fc.option(fc.integer({ min: 0, max: 4e12 })),
      activity: fc.constantFrom('progressing', 'working', 'flooding', 'dead', 'unknown'),
      stalled: fc.boolean(),
      lastProgressAtMs: fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), fc.integer({ min: 0, max: 4e12 })),
    }),
  })
  .map(({ planned, progress, ...changes }) =>
    sampleState({
      ...changes,
      ...(planned ? { plan: samplePlan(CHAIN), chainLength: 3 } : { position: 0 }),
      progress: withProgress(progress),
    }),
  )

test('any state: the bodies fit their schemas, and --json has the same fields under the same names', () => {
  fc.assert(
    fc.property(arbitraryState, state => {
      const body = restoreBody(state, facts)
      expect(restoreSchema.parse(body)).toEqual(body)
      const status = restoreStatusBody(body)
      expect(restoreStatusSchema.parse(status)).toEqual(status)
      const { basebackup_compressed_bytes_downloaded: got, basebackup_compressed_bytes_total: all } = status
      if (got !== null && all !== null) expect(got).toBeLessThanOrEqual(all)
      const { schema, type, time, ...line } = jsonState(JSON.parse(JSON.stringify(body)))
      expect({ schema, type, time }).toEqual({ schema: 1, type: 'state', time: body.updated_at })
      expect({ ...body, ...body.progress }).toMatchObject(line)
    }),
    { numRuns: 1000 },
  )
})
