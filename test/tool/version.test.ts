import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  atLeast,
  compareVersions,
  formatVersion,
  parseVersion,
  seriesOf,
  type Version,
} from '../../src/tool/version.ts'

const number = fc.nat(999)
const version: fc.Arbitrary<Version> = fc.record({
  major: number,
  minor: number,
  patch: number,
  build: fc.option(number, { nil: null }),
})

test.each([
  ['2.4.29', '2.4.29'],
  ['8.0.35-31', '8.0.35-31'],
  ['8.4.0-3', '8.4.0-3'],
  ['10.11.19-MariaDB', '10.11.19'],
  ['10.11.19-MariaDB-0+deb12u1-log', '10.11.19'],
  ['11.8.6-MariaDB-0+deb13u1 from Debian-log', '11.8.6'],
  ['5.7.44-48-log', '5.7.44-48'],
  ['8.0.42-33.1', '8.0.42'],
  ['8.1', '8.1.0'],
])('%s is %s', (text, expected) => expect(formatVersion(parseVersion(text)!)).toBe(expected))

test.each(['', 'unknown', 'v', '8'])('%j is no version', text => expect(parseVersion(text)).toBeNull())

describe('order', () => {
  test('what is formatted parses to the same', () => {
    fc.assert(
      fc.property(version, one => {
        expect(parseVersion(formatVersion(one))).toEqual(one)
      }),
    )
  })

  test('it is total: antisymmetric, transitive, equal only to itself', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)))
        expect(compareVersions(a, b) === 0).toBe(formatVersion(a) === formatVersion(b))
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0)
      }),
    )
  })

  test('the greatest difference decides', () => {
    const ordered = [
      '2.4.29',
      '8.0.4',
      '8.0.5',
      '8.0.30-23',
      '8.0.35',
      '8.0.35-30',
      '8.0.35-33',
      '8.4.0-2',
      '8.4.0-3',
      '9.1.0-1',
      '10.11.2',
      '11.1.0',
    ]
    for (let index = 1; index < ordered.length; index++) {
      expect(atLeast(ordered[index]!, ordered[index - 1]!)).toBe(true)
      expect(atLeast(ordered[index - 1]!, ordered[index]!)).toBe(false)
    }
  })

  test('an unknown version is at least nothing', () => {
    expect(atLeast(null, '0.0.0')).toBe(false)
    expect(seriesOf(parseVersion('8.0.35-31')!)).toBe('8.0')
  })
})
