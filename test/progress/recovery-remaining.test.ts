import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ToolSample } from '../../src/process/proc-sample.ts'
import { PAGE_BYTES, pagesOfBatch, pagesOfRedo, touchesPerByte } from '../../src/progress/cost-model.ts'
import { advanceProgress, initialProgress, type ProgressState } from '../../src/progress/estimator.ts'
import type { ProgressInput, WorkFacts } from '../../src/progress/progress.ts'
import { initialRecovery, type Recovery } from '../../src/progress/recovery.ts'
import { batchPagesLeft, recoveryRemaining } from '../../src/progress/recovery-remaining.ts'
import { NO_FACTS } from '../../src/progress/state.ts'

const MB = 1_000_000
const PAGES = 10_000
const BATCH_BYTES = PAGES * PAGE_BYTES

const inBatch = (changes: Partial<Recovery> = {}): Recovery => ({
  ...initialRecovery,
  startLsn: 0,
  endLsn: 1000 * MB,
  scanEnded: true,
  inBatch: true,
  batches: 1,
  batchPages: PAGES,
  linePages: PAGES,
  ...changes,
})
const small: WorkFacts = { ...NO_FACTS, memoryBytes: BATCH_BYTES / 4 }
const large: WorkFacts = { ...NO_FACTS, memoryBytes: 4 * BATCH_BYTES }
const doneOf = (facts: WorkFacts, read: number, written: number): number =>
  1 -
  batchPagesLeft(inBatch({ lineReadBytes: read * BATCH_BYTES, lineWriteBytes: written * BATCH_BYTES }), facts) / PAGES

describe('how much of a batch is done', () => {
  test.each([
    ['pages pass through memory: each is read, and written a little later', small, 0.5, 0.45, 0.5],
    ['they are as new as the redo already, and only read', small, 0.5, 0, 0.5],
    ['they were in the cache, and are only written', small, 0, 0.5, 0.5],
    ['the same with memory for all of them', large, 0, 0.5, 0.5],
    ['all were read into memory, half are written', large, 1, 0.5, 0.7],
  ])('%s', (_, facts, read, written, done) => {
    expect(doneOf(facts, read, written)).toBeCloseTo(done, 1)
  })

  test('more bytes are never less done, and never all', () => {
    const part = fc.double({ min: 0, max: 5, noNaN: true })
    fc.assert(
      fc.property(fc.constantFrom(small, large), part, part, part, (facts, read, written, more) => {
        const done = doneOf(facts, read, written)
        expect(done).toBeGreaterThanOrEqual(0)
        expect(done).toBeLessThanOrEqual(1)
        expect(doneOf(facts, read, written + more)).toBeGreaterThanOrEqual(done - 1e-9)
      }),
    )
  })
})

describe('pages of redo that is not in a batch yet', () => {
  test('touches a byte and pages of a batch are each other’s inverse, while not all data were touched', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1e-2, noNaN: true }),
        fc.integer({ min: MB, max: 500 * MB }),
        fc.integer({ min: 10 * MB, max: 100_000 * MB }),
        (touches, batch, data) => {
          fc.pre((batch * touches) / (data / PAGE_BYTES) < 2)
          const pages = pagesOfBatch(batch, data, touches)
          expect(touchesPerByte(pages / batch, batch, data) / touches).toBeCloseTo(1, 6)
        },
      ),
    )
  })

  test('a small batch has more pages a byte than the large one before it, which touched most of the data', () => {
    const data = 16_000 * PAGE_BYTES
    const touches = touchesPerByte(14_000 / (60 * MB), 60 * MB, data)
    const linear = (14_000 / 60) * 6
    expect(pagesOfRedo(6 * MB, 60 * MB, data, touches)).toBeGreaterThan(1.7 * linear)
    // Through the whole model: after such a batch, 6 MB are left.
    const redo = inBatch({
      endLsn: 66 * MB,
      coveredBytes: 60 * MB,
      batchSpanBytes: 60 * MB,
      batchPages: 14_000,
      linePages: 0,
    })
    const left = recoveryRemaining({ ...redo, batchSeconds: 14 }, { ...small, dataFileBytes: data }, 66 * MB, null)
    expect(left.pages - 14_000).toBeGreaterThan(1.5 * linear)
    // 1 ms a page was seen.
    expect(left.seconds).toBeGreaterThan(1.5 * linear * 0.001 * 0.8)
  })

  test('no redo seen in batches, none, or all data touched: finite and not negative', () => {
    expect(touchesPerByte(0, 0, 0)).toBe(0)
    expect(touchesPerByte(0, 100, 100)).toBe(0)
    expect(touchesPerByte(1000 / MB, MB, PAGE_BYTES)).toBeLessThan(0.01)
    expect(recoveryRemaining({ ...initialRecovery, startLsn: 0 }, small, 100 * MB, null).pages).toBeGreaterThan(0)
  })
})

describe('what a line says of the bytes around it', () => {
  const counters = (megabytes: number): ToolSample => ({
    cpuSeconds: megabytes,
    rcharBytes: megabytes * MB,
    readBytes: megabytes * MB,
    writeBytes: 0,
  })
  function play(inputs: readonly [number, ProgressInput][]): ProgressState {
    const facts = { ...small, lastLsn: 1000 * MB, redoBytes: 1000 * MB, dataFileBytes: 4000 * MB }
    let state = initialProgress()
    const all: [number, ProgressInput][] = [
      [0, { type: 'restart', elements: 1 }],
      [0, { type: 'element', position: 1, facts }],
      [0, { type: 'phase', phase: 'preparing_backup' }],
      [0, { type: 'tool', event: { type: 'checkpoint', lsn: 0 } }],
      [0, { type: 'sample', sample: counters(0) }],
      [1000, { type: 'sample', sample: counters(100) }],
      ...inputs,
    ]
    for (const [ms, input] of all) state = advanceProgress(state, input, ms)
    return state
  }
  const batch: ProgressInput = {
    type: 'tool',
    event: { type: 'pages_left', pages: PAGES, lsn: 300 * MB, endLsn: 1000 * MB },
  }

  test('of what was read between two looks, only the part since the line is the batch’s', () => {
    const { recovery } = play([
      [1900, batch],
      [2000, { type: 'sample', sample: counters(200) }],
    ])
    expect(recovery.lineReadBytes).toBeCloseTo(10 * MB, -3)
    const next = play([
      [1900, batch],
      [2000, { type: 'sample', sample: counters(200) }],
      [3000, { type: 'sample', sample: counters(300) }],
    ])
    expect(next.recovery.lineReadBytes).toBeCloseTo(110 * MB, -3)
  })

  test('MariaDB reads redo beyond a batch again: that batch is done', () => {
    const again = (megabytes: number): ProgressInput => ({
      type: 'tool',
      event: { type: 'redo_scanned', lsn: megabytes * MB },
    })
    expect(play([[2000, batch]]).recovery.linePages).toBe(PAGES)
    expect(
      play([
        [2000, batch],
        [9000, again(200)],
      ]).recovery.linePages,
    ).toBe(PAGES)
    const { recovery, lastProgressAtMs } = play([
      [2000, batch],
      [9000, again(301)],
    ])
    expect(recovery).toMatchObject({ linePages: 0, batchSeconds: 7 })
    expect(lastProgressAtMs).toBe(9000)
  })
})
