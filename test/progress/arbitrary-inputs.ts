import fc from 'fast-check'
import { PHASES, STEPS } from '../../src/phases.ts'
import type { ProgressInput, WorkFacts, WorkPart } from '../../src/progress/progress.ts'
import type { ToolEvent } from '../../src/tool/events.ts'

/** Inputs in any order, sensible or not: what a confused tool, a restart or a wrong clock may bring. */

const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
const lsn = fc.oneof(
  fc.integer({ min: 0, max: 5_000 }).map(n => n * 1_000_000),
  fc.maxSafeNat(),
)
const bytes = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 0, max: 5_000 }).map(n => n * 1_000_000),
  fc.maxSafeNat(),
)
const count = fc.oneof(fc.constant(0), fc.nat(100_000), fc.maxSafeNat())
const percent = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.double({ min: 0, max: 200, noNaN: true }))

export const facts: fc.Arbitrary<WorkFacts> = fc.record({
  tool: fc.constantFrom('mariadb-backup', 'xtrabackup'),
  toolVersion: fc.constant(null),
  sourceBytes: nullable(bytes),
  chainBytes: fc.array(nullable(bytes), { maxLength: 5 }),
  fromLsn: nullable(lsn),
  toLsn: nullable(lsn),
  lastLsn: nullable(lsn),
  redoMemoryBytes: nullable(bytes),
  redoFrames: nullable(count),
  redoBytes: nullable(bytes),
  dataFileBytes: nullable(bytes),
  deltaFiles: nullable(fc.dictionary(fc.constantFrom('a.ibd.delta', 'b.ibd.delta'), bytes)),
  memoryBytes: nullable(bytes),
  moveBackFiles: nullable(count),
  moveBackCopyBytes: nullable(bytes),
  hasPrepare: fc.boolean(),
  hasMoveBack: fc.boolean(),
  hasStartCheck: fc.boolean(),
  binlogBytes: nullable(bytes),
})

const toolEvent: fc.Arbitrary<ToolEvent> = fc.oneof(
  fc.record({ type: fc.constant('buffer_pool'), bytes }),
  fc.record({ type: fc.constant('redo_found'), sizeBytes: bytes, startLsn: lsn }),
  fc.record({ type: fc.constant('memory_estimate'), parseBytes: bytes, frames: count, requestedBytes: bytes }),
  fc.record({ type: fc.constant('checkpoint'), lsn }),
  fc.record({ type: fc.constant('multi_batch'), lsn }),
  fc.record({ type: fc.constant('redo_scanned'), lsn }),
  fc.record({ type: fc.constant('end_of_log'), lsn }),
  fc.record({ type: fc.constant('batch_started'), pages: nullable(count) }),
  fc.record({ type: fc.constant('batch_percent'), percent }),
  fc.record({ type: fc.constant('pages_left'), pages: count, lsn: nullable(lsn), endLsn: nullable(lsn) }),
  fc.record({ type: fc.constant('rollback_found'), transactions: count, rows: count }),
  fc.record({ type: fc.constant('rollback_started'), trx: fc.constant('1'), rows: count }),
  fc.record({ type: fc.constant('rollback_percent'), percent }),
  fc.record({ type: fc.constant('delta_apply'), file: fc.constantFrom('a.ibd.delta', 'b.ibd.delta') }),
  fc.record({ type: fc.constant('file_started'), file: fc.constant('a.ibd') }),
  fc.record({ type: fc.constant('shutdown_completed'), lsn: nullable(lsn) }),
  fc.constantFrom<ToolEvent>(
    { type: 'batch_completed' },
    { type: 'rollback_completed' },
    { type: 'file_done' },
    { type: 'shutdown_started' },
    { type: 'starved' },
    { type: 'completed_ok' },
    { type: 'complaint', level: 'warning', text: 'x' },
  ),
) as fc.Arbitrary<ToolEvent>

const sample = fc.record({
  cpuSeconds: nullable(fc.double({ min: 0, max: 1e6, noNaN: true })),
  rcharBytes: nullable(bytes),
  readBytes: nullable(bytes),
  writeBytes: nullable(bytes),
})

const step = fc.constantFrom(...STEPS.preparing_backup, ...STEPS.finalizing)

/** What goes on within a phase; the others begin something anew. */
const within: fc.Arbitrary<ProgressInput> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant('tool' as const), event: toolEvent }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('sample' as const), sample }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('source' as const), readBytes: bytes }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('binlogs' as const), doneBytes: bytes, totalBytes: bytes }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('step' as const), step }) },
  { weight: 1, arbitrary: facts.map(all => ({ type: 'facts' as const, facts: all })) },
  { weight: 1, arbitrary: fc.constant({ type: 'tick' as const }) },
)

const workPart: fc.Arbitrary<WorkPart> = fc.record({
  position: fc.integer({ min: 1, max: 5 }),
  part: fc.constantFrom('fetch', 'prepare', 'move_back'),
})

const beginning: fc.Arbitrary<ProgressInput> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('restart' as const),
      elements: fc.integer({ min: 1, max: 5 }),
      kept: fc.array(workPart),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('element' as const), position: fc.integer({ min: 1, max: 5 }), facts }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('phase' as const), phase: fc.constantFrom(...PHASES) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'passed' as const }) },
)

export interface Timed {
  input: ProgressInput
  /** Milliseconds after the one before; a clock that was set back gives a negative one. */
  afterMs: number
}

const after = fc.oneof(fc.nat(2_000), fc.integer({ min: -5_000, max: 600_000 }))
const timed = (input: fc.Arbitrary<ProgressInput>): fc.Arbitrary<Timed> => fc.record({ input, afterMs: after })

/** A whole restore in any order. */
export const anyInputs = fc.array(
  timed(fc.oneof({ weight: 8, arbitrary: within }, { weight: 1, arbitrary: beginning })),
  {
    maxLength: 120,
  },
)

/** One prepare: element, phase, then anything but a new beginning. */
export const onePrepare = fc
  .tuple(facts, fc.array(timed(within), { maxLength: 120 }))
  .map(([first, rest]): Timed[] => [
    { input: { type: 'restart', elements: 1 }, afterMs: 0 },
    { input: { type: 'element', position: 1, facts: first }, afterMs: 0 },
    { input: { type: 'phase', phase: 'preparing_backup' }, afterMs: 0 },
    ...rest,
  ])
