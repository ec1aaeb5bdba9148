import { expect, test } from 'vitest'
import { advanceProgress, initialProgress, viewProgress } from '../../src/progress/estimator.ts'
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

test('100,000 lines: no memory is kept, and the line that matters counts at once', () => {
  let state = begun()
  const sizeBefore = JSON.stringify(state).length
  for (let i = 0; i < 100_000; i++)
    state = advanceProgress(state, { type: 'tool', event: { type: 'starved' } }, 2 + i / 100)
  expect(JSON.stringify(state).length).toBeLessThan(sizeBefore + 200)
  const before = viewProgress(state, 1002).phasePercent!
  state = advanceProgress(state, { type: 'tool', event: { type: 'redo_scanned', lsn: 500 * MB } }, 1003)
  expect(viewProgress(state, 1003).phasePercent).toBeGreaterThan(before)
})
