import { expect, test } from 'vitest'
import { advanceProgress, initialProgress, viewProgress } from '../../src/progress/estimator.ts'
import type { ProgressInput } from '../../src/progress/progress.ts'
import { NO_FACTS } from '../../src/progress/state.ts'

const MB = 1_000_000

function begun() {
  let state = initialProgress()
  const facts = { ...NO_FACTS, lastLsn: 1000 * MB, memoryBytes: 100 * MB }
  state = advanceProgress(state, { type: 'restart', elements: 1 }, 0)
  state = advanceProgress(state, { type: 'element', position: 1, facts }, 0)
  state = advanceProgress(state, { type: 'phase', phase: 'preparing_backup' }, 0)
  return advanceProgress(state, { type: 'tool', event: { type: 'checkpoint', lsn: 0 } }, 1)
}

/** CPU time, the best of a few rounds: what it costs, not what else the machine does. */
function microsecondsEach(input: (i: number) => ProgressInput, events: number): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    let state = begun()
    const before = process.cpuUsage()
    for (let i = 1; i <= events; i++) state = advanceProgress(state, input(i), i)
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, (user + system) / events)
  }
  return best
}

const bytes = (i: number) => ({ cpuSeconds: i, rcharBytes: i * 100_000, readBytes: i * 100_000, writeBytes: 0 })

test.each<[string, (i: number) => ProgressInput]>([
  ['a scan line', i => ({ type: 'tool', event: { type: 'redo_scanned', lsn: i * 9_000 } })],
  ['a page batch', i => ({ type: 'tool', event: { type: 'pages_left', pages: 9, lsn: i * 9_000, endLsn: 1000 * MB } })],
  ['a complaint', () => ({ type: 'tool', event: { type: 'starved' } })],
  ['a sample', i => ({ type: 'sample', sample: bytes(i) })],
  ['a tick', () => ({ type: 'tick' })],
])('%s costs the same after 200,000 of them as after 20,000', (_, input) => {
  const [few, many] = [microsecondsEach(input, 20_000), microsecondsEach(input, 200_000)]
  expect(many / few).toBeLessThan(3)
})

test('100,000 lines a second: no memory is kept, and the line that matters counts at once', () => {
  let state = begun()
  const sizeBefore = JSON.stringify(state).length
  const startedAt = performance.now()
  for (let i = 0; i < 100_000; i++)
    state = advanceProgress(state, { type: 'tool', event: { type: 'starved' } }, 2 + i / 100)
  expect(performance.now() - startedAt).toBeLessThan(1000)
  expect(JSON.stringify(state).length).toBeLessThan(sizeBefore + 200)
  const before = viewProgress(state, 1002).phasePercent!
  state = advanceProgress(state, { type: 'tool', event: { type: 'redo_scanned', lsn: 500 * MB } }, 1003)
  expect(viewProgress(state, 1003).phasePercent).toBeGreaterThan(before)
})
