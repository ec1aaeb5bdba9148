import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatIso,
  formatPercent,
  formatRoughDuration,
  printable,
} from '../src/format.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [56e9, '52.2 GiB'],
  [1023.9 * 1024 ** 2, '1.0 GiB'],
  [150 * 1024 ** 3, '150 GiB'],
])('%d bytes', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [-5, '0s'],
  [999, '0s'],
  [12_345, '12s'],
  [130_000, '2m 10s'],
  [3_720_000, '1h 02m'],
  [273_600_000, '3d 04h'],
])('%d ms', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test('a guess is not given to the second', () => {
  expect([45_000, 110_000, 1_870_000, 7_500_000].map(formatRoughDuration)).toEqual(['45s', '1m 50s', '31m', '2h 05m'])
})

test.each([
  [null, '--'],
  [0, '0.0 %'],
  [43.29, '43.2 %'],
  [0.3, '0.3 %'],
  [99.999, '99.9 %'],
  [100, '100 %'],
])('%s percent', (percent, text) => {
  expect(formatPercent(percent)).toBe(text)
})

test('100 is said of 100 only', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 99.99999, noNaN: true }), percent => {
      expect(formatPercent(percent)).not.toContain('100')
    }),
  )
})

test('numbers stay short, whatever they are', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), value => {
      expect(formatBytes(value).length).toBeLessThanOrEqual(8)
      if (value < 1e9) expect(formatCount(value).length).toBeLessThanOrEqual(5)
      if (value < 8e9) expect(formatDuration(value).length).toBeLessThanOrEqual(7)
    }),
  )
})

test('counts', () => {
  expect([3, 3.25, 812, 12_300, 4_500_000].map(formatCount)).toEqual(['3', '3.3', '812', '12.3k', '4.5M'])
})

test('time in UTC, to the second', () => {
  expect(formatIso(Date.UTC(2026, 10, 23, 14, 32, 10, 987))).toBe('2026-11-23T14:32:10Z')
})

test('foreign text cannot move the cursor', () => {
  expect(printable('a\x1b[2Jb\rc\nd\u009be\u202ef')).toBe('a\ufffd[2Jb\ufffdc\ufffdd\ufffde\ufffdf')
})
