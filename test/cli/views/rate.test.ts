import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newNotices } from '../../../src/cli/views/notices.ts'
import { addReading, noReadings, type Readings, rateOf } from '../../../src/cli/views/rate.ts'

describe('rate', () => {
  const fed = (points: readonly [atMs: number, value: number | null][]) =>
    points.reduce((readings: Readings, [atMs, value]) => addReading(readings, 'step', atMs, value), noReadings)

  test('the slope between changes, bursts or not', () => {
    expect(
      rateOf(
        fed([
          [0, 0],
          [15_000, 1_500],
          [16_000, 1_500],
          [30_000, 3_000],
        ]),
        40_000,
      ),
    ).toBe(100)
  })

  test('unknown before there is a span, after a long silence, and in another step', () => {
    expect(rateOf(fed([[0, 0]]), 0)).toBeNull()
    expect(
      rateOf(
        fed([
          [0, 0],
          [600, 5],
        ]),
        600,
      ),
    ).toBeNull()
    expect(
      rateOf(
        fed([
          [0, 0],
          [5_000, 5],
        ]),
        36_000,
      ),
    ).toBeNull()
    expect(
      rateOf(
        addReading(
          fed([
            [0, 0],
            [5_000, 5],
          ]),
          'other',
          6_000,
          7,
        ),
        6_000,
      ),
    ).toBeNull()
    expect(
      rateOf(
        fed([
          [0, 9],
          [5_000, 5],
        ]),
        5_000,
      ),
    ).toBeNull()
  })

  test('steady growth has its own slope, and memory is bounded', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 10, max: 2_000 }), (perSecond, everyMs) => {
        let readings = noReadings
        for (let atMs = 0; atMs <= 90_000; atMs += everyMs)
          readings = addReading(readings, 'k', atMs, (perSecond * atMs) / 1000)
        expect(rateOf(readings, 90_000)).toBeCloseTo(perSecond, 3)
        expect(readings.points.length).toBeLessThanOrEqual(122)
      }),
      { numRuns: 30 },
    )
  })
})

test('new notices are found although the list is cut at its beginning', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 40 }), fc.nat(40), fc.nat(40), (all, a, b) => {
      const [first, second] = [Math.min(a, b, all.length), Math.min(Math.max(a, b), all.length)]
      const listAt = (count: number) => all.slice(Math.max(0, count - 20), count)
      const expected = all.slice(Math.max(first, second - 20), second)
      expect(newNotices(listAt(first), listAt(second))).toEqual(expected)
    }),
  )
})
