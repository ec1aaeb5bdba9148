import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { levenshtein, suggest } from '../../src/config/suggest.ts'
import { parseDeadline, parseDuration, parseSize, parseTime } from '../../src/config/values.ts'

test.each([
  ['4G', 4 * 1024 ** 3],
  ['512M', 512 * 1024 ** 2],
  ['1.5GiB', 1.5 * 1024 ** 3],
  ['64kb', 65_536],
  ['1T', 1024 ** 4],
  ['1000', 1000],
  ['0', null],
  ['50%', null],
  ['-1', null],
  ['4 X', null],
  ['', null],
  ['9999999T', null],
  ['1e9', null],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each([
  ['90s', 90_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['1h 30m', 5_400_000],
  ['500ms', 500],
  ['2d', 172_800_000],
  ['0.5h', 1_800_000],
  ['90', null],
  ['0s', null],
  ['', null],
  ['m', null],
  ['367d', null],
  ['5 minutes', null],
])('duration %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each([
  ['6h', { inMs: 21_600_000 }],
  ['2026-11-23T06:00Z', { atMs: Date.UTC(2026, 10, 23, 6) }],
  ['2026-11-23 06:00:30+01:00', { atMs: Date.UTC(2026, 10, 23, 5, 0, 30) }],
  ['2026-13-45T06:00Z', null],
  ['2026-11-23', null],
  ['soon', null],
])('deadline %s', (text, deadline) => {
  expect(parseDeadline(text)).toEqual(deadline)
})

test.each([
  ['2026-11-23T06:00:00Z', Date.UTC(2026, 10, 23, 6)],
  ['2026-11-23T06:00', Date.UTC(2026, 10, 23, 6)],
  ['2026-11-23 06:00:30.5', Date.UTC(2026, 10, 23, 6, 0, 30, 500)],
  ['2026-11-23T06:00:00+01:00', Date.UTC(2026, 10, 23, 5)],
  ['2026-11-23T06:00:00-0130', Date.UTC(2026, 10, 23, 7, 30)],
  ['2026-11-23', Date.UTC(2026, 10, 23)],
  ['2026-13-01', null],
  ['2026-02-30', null],
  ['6h', null],
  ['latest', null],
])('time %s', (text, timeMs) => {
  expect(parseTime(text)).toBe(timeMs)
})

describe('suggestions', () => {
  test.each([
    ['datadirr', 'datadir'],
    ['data-dir', 'datadir'],
    ['target-dir', 'target_dir'],
    ['DATADIR', 'datadir'],
    ['bucket', null],
    ['x'.repeat(100), null],
  ])('%s', (word, expected) => {
    expect(suggest(word, ['datadir', 'target_dir', 'tool'])).toBe(expected)
  })

  test('the distance is a metric', () => {
    const word = fc.string({ maxLength: 8 })
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(levenshtein(a, a)).toBe(0)
        expect(levenshtein(a, b)).toBe(levenshtein(b, a))
        expect(levenshtein(a, c)).toBeLessThanOrEqual(levenshtein(a, b) + levenshtein(b, c))
        if (a !== b) expect(levenshtein(a, b)).toBeGreaterThan(0)
      }),
    )
  })
})
