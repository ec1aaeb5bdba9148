import { describe, expect, test } from 'vitest'
import { advanceProgress, initialProgress, viewProgress } from '../../src/progress/estimator.ts'
import type { ProgressInput, WorkFacts } from '../../src/progress/progress.ts'
import { NO_FACTS } from '../../src/progress/state.ts'
import type { ToolEvent } from '../../src/tool/events.ts'

const START_MS = 1_800_000_000_000
const MB = 1_000_000

function restore(elements: number, { scale: incrementalScale = 0.4, chainBytes = [] as (number | null)[] } = {}) {
  let state = initialProgress()
  let atMs = START_MS
  const feed = (input: ProgressInput, afterMs = 0) => {
    atMs += afterMs
    state = advanceProgress(state, input, atMs)
  }
  const event = (toolEvent: ToolEvent, afterMs = 0) => feed({ type: 'tool', event: toolEvent }, afterMs)
  const view = () => viewProgress(state, atMs)
  feed({ type: 'restart', elements })
  feed({ type: 'phase', phase: 'getting_backup_info' })
  feed({ type: 'passed' }, 100)

  /**
   * 100 s of extract at 10 MB/s; then a prepare whose scan takes 20 s and whose one batch takes 20 s. Incrementals: a
   * part of it.
   */
  const element = (position: number) => {
    const scale = position === 1 ? 1 : incrementalScale
    const redo = 1000 * MB * scale
    const facts: WorkFacts = { ...NO_FACTS, sourceBytes: redo, chainBytes, hasMoveBack: position === elements }
    feed({ type: 'element', position, facts })
    feed({ type: 'phase', phase: 'restoring_basebackup' })
    const seen = []
    for (let second = 1; second <= 100 * scale; second++) {
      feed({ type: 'source', readBytes: 10 * MB * second }, 1000)
      seen.push({ ...view(), at: second })
    }
    feed({ type: 'passed' })
    feed({ type: 'facts', facts: { lastLsn: redo, redoBytes: redo, dataFileBytes: 1000 * MB } })
    feed({ type: 'phase', phase: 'preparing_backup' })
    event({ type: 'checkpoint', lsn: 0 })
    for (let second = 1; second <= 20 * scale; second++) event({ type: 'redo_scanned', lsn: 50 * MB * second }, 1000)
    event({ type: 'end_of_log', lsn: redo })
    for (let second = 0; second < 20 * scale; second++)
      event(
        { type: 'pages_left', pages: 20_000 * scale - 1000 * second, lsn: null, endLsn: null },
        second === 0 ? 0 : 1000,
      )
    event({ type: 'completed_ok' }, 1000)
    return seen
  }
  return { feed, event, view, element, now: () => atMs }
}

test('extract: bytes of bytes, with an end that comes true', () => {
  const { element } = restore(1)
  for (const { at, phasePercent, restorePercent, eta } of element(1)) {
    expect(Math.abs(phasePercent! - at)).toBeLessThan(6)
    expect(restorePercent!).toBeLessThan(phasePercent!)
    // At the end of the extract all that is left is a guess, which may be wrong by more than a factor of 2.
    if (at > 95) expect(eta).toBeNull()
    if (at >= 25 && at < 90) {
      // 100 s of extract, 40 s of prepare and a little: the end is not yet known, but it is in the range.
      expect(eta!.earliestMs).toBeLessThanOrEqual(START_MS + 142_000)
      expect(eta!.latestMs).toBeGreaterThanOrEqual(START_MS + 142_000)
    }
  }
})

test('a chain: percent of the whole restore goes on through all of it, to 100 when it is completed', () => {
  const { element, feed, event, view } = restore(3)
  const percents: number[] = []
  for (const position of [1, 2, 3]) {
    percents.push(...element(position).map(({ restorePercent }) => restorePercent!))
    percents.push(view().restorePercent!)
    expect(view().phasePercent).toBeLessThanOrEqual(99)
    if (position < 3) feed({ type: 'passed' })
  }
  feed({ type: 'step', step: 'move_back' })
  for (let file = 0; file < 10; file++) event({ type: 'file_done' }, 10)
  event({ type: 'completed_ok' }, 10)
  feed({ type: 'passed' })
  expect(view().phasePercent).toBe(100)
  feed({ type: 'phase', phase: 'finalizing' })
  feed({ type: 'step', step: 'verify' }, 10)
  feed({ type: 'passed' })
  percents.push(view().restorePercent!)
  expect(view().restorePercent).toBeLessThanOrEqual(99)
  feed({ type: 'phase', phase: 'completed' })
  expect(view()).toMatchObject({ restorePercent: 100, eta: null })

  expect(percents).toEqual([...percents].sort((a, b) => a - b))
  // Truth at the end of the first extract, and of the first and second element: 100, 140 and 196 of 252 s.
  expect(Math.abs(percents[99]! - 40)).toBeLessThan(10)
  expect(Math.abs(percents[100]! - 56)).toBeLessThan(10)
  expect(Math.abs(percents[141]! - 78)).toBeLessThan(10)
  expect(percents.at(-1)).toBeGreaterThan(90)
})

describe('a small restore', () => {
  /** Milliseconds of extract, prepare and move-back. */
  const small = (extractMs: number, prepareMs: number, moveMs: number) => {
    const { feed, event, view } = restore(1)
    const facts: WorkFacts = { ...NO_FACTS, sourceBytes: 10 * MB, hasMoveBack: true }
    feed({ type: 'element', position: 1, facts })
    feed({ type: 'phase', phase: 'restoring_basebackup' })
    feed({ type: 'source', readBytes: 10 * MB }, extractMs)
    feed({ type: 'passed' })
    feed({ type: 'facts', facts: { lastLsn: 100, redoBytes: 100, dataFileBytes: 10 * MB, moveBackFiles: 20 } })
    feed({ type: 'phase', phase: 'preparing_backup' })
    event({ type: 'checkpoint', lsn: 0 })
    event({ type: 'end_of_log', lsn: 100 })
    event({ type: 'pages_left', pages: 5, lsn: null, endLsn: null })
    event({ type: 'completed_ok' }, prepareMs)
    feed({ type: 'step', step: 'move_back' })
    for (let file = 0; file < 20; file++) event({ type: 'file_done' }, moveMs / 20)
    event({ type: 'completed_ok' })
    feed({ type: 'passed' })
    feed({ type: 'phase', phase: 'finalizing' })
    return view().restorePercent!
  }

  test.each([
    [100, 300, 30],
    [20, 400, 5],
    [500, 200, 100],
    [2000, 3000, 1000],
  ])('%d, %d and %d ms: at least 90 % when only our own checks are left', (extractMs, prepareMs, moveMs) => {
    expect(small(extractMs, prepareMs, moveMs)).toBeGreaterThanOrEqual(90)
    expect(small(extractMs, prepareMs, moveMs)).toBeLessThanOrEqual(99)
  })
})

describe('later elements are priced by their stored sizes', () => {
  const shownAt = (scale: number, chainBytes: (number | null)[]) => {
    const { element, view } = restore(3, { scale, chainBytes })
    const percents = element(1).map(({ restorePercent }) => restorePercent!)
    return { afterExtract: percents.at(-1)!, afterFirst: view().restorePercent! }
  }

  test.each([0.01, 0.1, 0.4, 1, 3])('incrementals of %s of the full backup', scale => {
    const whole = 140 * (1 + 2 * scale)
    const { afterExtract, afterFirst } = shownAt(scale, [1000 * MB, 1000 * MB * scale, 1000 * MB * scale])
    expect(Math.abs(afterExtract - 10_000 / whole)).toBeLessThan(8)
    expect(Math.abs(afterFirst - 14_000 / whole)).toBeLessThan(6)
  })

  test('where one size is not known, they are taken for a third of the full backup', () => {
    const known = shownAt(3, [1000 * MB, 3000 * MB, 3000 * MB])
    const unknown = shownAt(3, [1000 * MB, 3000 * MB, null])
    expect(unknown).toEqual(shownAt(3, []))
    expect(unknown.afterFirst).toBeGreaterThan(known.afterFirst + 20)
  })
})

test('top of an element: percent and ETA of the element before are gone', () => {
  const { element, feed, view } = restore(2)
  element(1)
  feed({ type: 'passed' })
  feed({ type: 'element', position: 2, facts: NO_FACTS })
  expect(view()).toMatchObject({ phasePercent: null, scanPercent: null, eta: null, step: null })
})

test('a new attempt forgets everything', () => {
  const { element, feed, view } = restore(2)
  element(1)
  feed({ type: 'restart', elements: 2 }, 1000)
  expect(view()).toMatchObject({ phasePercent: null, restorePercent: null, scanPercent: null, eta: null, step: null })
})

test('delta apply goes by the sizes of the files, not by their number', () => {
  const { feed, event, view } = restore(2)
  const deltaFiles = { 'a/big.ibd.delta': 900 * MB, 'a/small.ibd.delta': 50 * MB, 'a/other.ibd.delta': 50 * MB }
  const facts = { ...NO_FACTS, fromLsn: 1, lastLsn: 2 * MB, redoBytes: MB, deltaFiles }
  feed({ type: 'element', position: 2, facts })
  feed({ type: 'phase', phase: 'preparing_backup' })
  const sample = (megabytes: number) => {
    const bytes = megabytes * MB
    feed({ type: 'sample', sample: { cpuSeconds: 1, rcharBytes: bytes, readBytes: bytes, writeBytes: bytes } }, 1000)
  }
  sample(0)
  event({ type: 'delta_apply', file: 'a/small.ibd.delta' })
  sample(50)
  event({ type: 'delta_apply', file: 'a/other.ibd.delta' })
  sample(100)
  event({ type: 'delta_apply', file: 'a/big.ibd.delta' })
  expect(view().step).toBe('delta_apply')
  expect(view().phasePercent).toBeLessThan(20)
  for (let second = 1; second <= 9; second++) sample(100 + 50 * second)
  expect(view().phasePercent).toBeGreaterThan(40)
  expect(view().phasePercent).toBeLessThan(60)
})

test.each([
  ['renames: by files', 0],
  ['across file systems: by bytes', 1000 * MB],
])('move-back, %s', (_, moveBackCopyBytes) => {
  const { feed, event, view } = restore(1)
  const facts = { ...NO_FACTS, hasPrepare: false, hasMoveBack: true, moveBackFiles: 100, moveBackCopyBytes }
  feed({ type: 'element', position: 1, facts })
  feed({ type: 'phase', phase: 'preparing_backup' })
  feed({ type: 'step', step: 'move_back' })
  const sample = (megabytes: number) => {
    const bytes = megabytes * MB
    feed({ type: 'sample', sample: { cpuSeconds: 1, rcharBytes: bytes, readBytes: bytes, writeBytes: bytes } })
  }
  sample(0)
  for (let file = 1; file <= 50; file++) {
    feed({ type: 'tick' }, 100)
    if (moveBackCopyBytes > 0) sample(10 * file)
    event({ type: 'file_done' })
  }
  expect(view().step).toBe('move_back')
  expect(view().phasePercent).toBeGreaterThan(40)
  expect(view().phasePercent).toBeLessThan(60)
  event({ type: 'completed_ok' }, 100)
  expect(view().phasePercent).toBeLessThanOrEqual(99)
})
