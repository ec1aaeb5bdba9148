import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  afterThrottle,
  afterWindow,
  nextWindow,
  pauseMs,
  planWindows,
} from '../../../src/source/transfer/window-plan.ts'

const SIZE = fc.integer({ min: 0, max: 10_000 })
const MOST = fc.integer({ min: 1, max: 16 })
const EVENTS = fc.array(fc.constantFrom('open', 'network', 'tool', 'throttle'), { maxLength: 300 })

test('windows cover every byte once and in order, whatever happens meanwhile', () => {
  fc.assert(
    fc.property(SIZE, SIZE, MOST, fc.integer({ min: 1, max: 500 }), EVENTS, (from, length, most, bytes, events) => {
      const plan = planWindows({ start: from, end: from + length }, most, bytes)
      let next = from
      let open = 0
      const take = () => {
        const window = nextWindow(plan, open)
        if (window === null) return false
        expect(window.start).toBe(next)
        expect(window.end).toBeGreaterThan(window.start)
        next = window.end
        open += 1
        return true
      }
      for (const event of events) {
        if (event === 'open') take()
        else if (event === 'throttle') afterThrottle(plan)
        else {
          if (open > 0) open -= 1
          afterWindow(plan, event)
        }
        expect(plan.limit).toBeGreaterThanOrEqual(1)
        expect(plan.limit).toBeLessThanOrEqual(most)
      }
      open = 0
      while (take()) open = 0
      expect(next).toBe(from + length)
    }),
  )
})

test('an object of unknown size is one window', () => {
  const plan = planWindows({ start: 0, end: Number.POSITIVE_INFINITY }, 1)
  expect(nextWindow(plan, 0)).toEqual({ start: 0, end: Number.POSITIVE_INFINITY })
  expect(nextWindow(plan, 0)).toBeNull()
})

test('the limit grows only where the network was waited for', () => {
  const plan = planWindows({ start: 0, end: 1e9 })
  const { limit } = plan
  afterWindow(plan, 'tool')
  expect(plan.limit).toBe(limit)
  afterWindow(plan, 'network')
  expect(plan.limit).toBe(limit + 1)
})

test('pauses double up to 20 s, and at least half of each is waited', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
      const full = Math.min(20_000, 200 * 2 ** Math.min(30, failures - 1))
      const pause = pauseMs(failures, () => random)
      expect(pause).toBeGreaterThanOrEqual(full / 2)
      expect(pause).toBeLessThanOrEqual(full)
    }),
  )
})
