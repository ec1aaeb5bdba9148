import { describe, expect, test } from 'vitest'
import { recognisedLayout } from '../../src/layout/layouts.ts'
import { mariadbOperator } from '../../src/layout/mariadb-operator.ts'
import { timeInName } from '../../src/layout/name-time.ts'
import { plain } from '../../src/layout/plain.ts'
import { backupsOf, listed } from './listings.ts'

describe('the layout of mariadb-operator', () => {
  const objects = {
    'x/physicalbackup-20260721093000.xb.gz': 'abc',
    'x/physicalbackup-20260722093000.xb.bz2': 'ab',
    'x/physicalbackup-20260723093000.xb': 'a',
    'x/physicalbackup-20260723093000.xb.tmp': 'a',
    'x/server-1/mariadb-bin.000001': 'binlog',
  }
  test('lists its streams by the time in their names', () => {
    expect(recognisedLayout(listed(objects))).toBe(mariadbOperator)
    expect(backupsOf(mariadbOperator, objects).map(({ id, timeMs, kind }) => [id, timeMs, kind])).toEqual([
      ['x/physicalbackup-20260721093000.xb.gz', Date.UTC(2026, 6, 21, 9, 30), 'full'],
      ['x/physicalbackup-20260722093000.xb.bz2', Date.UTC(2026, 6, 22, 9, 30), 'full'],
      ['x/physicalbackup-20260723093000.xb', Date.UTC(2026, 6, 23, 9, 30), 'full'],
    ])
  })
})

describe('the plain layout', () => {
  test('lists streams in any packing, and nothing else beside them', () => {
    const names = ['a.xb', 'b.xbstream.zst.gpg', 'c/d.mbstream.br', 'e-xtrabackup.stream']
    const objects = Object.fromEntries([...names, 'notes.txt', 'a.xb.sha256'].map(name => [name, 'x']))
    expect(recognisedLayout(listed(objects))).toBe(plain)
    expect(backupsOf(plain, objects).map(({ id }) => id)).toEqual(names)
    expect(backupsOf(plain, objects)[1]).toMatchObject({ complete: null, keys: ['the key of its .gpg layer'] })
  })

  test('takes what is there where it was asked for and no name tells', () => {
    expect(backupsOf(plain, { monday: 'x', tuesday: 'y' }).map(({ id }) => id)).toEqual(['monday', 'tuesday'])
    expect(recognisedLayout(listed({ monday: 'x' }))).toBeNull()
  })

  test('does not restore an incremental by its name alone, nor an empty object', () => {
    const objects = { 'full.xb': 'x', 'inc1.xb.zst': 'x', 'db-incr-2.xb': 'x', 'since.xb': 'x', 'empty.xb': '' }
    const codes = backupsOf(plain, objects).map(({ id, problem }) => [id, problem?.code])
    expect(Object.fromEntries(codes)).toEqual({
      'full.xb': undefined,
      'inc1.xb.zst': 'chain_broken',
      'db-incr-2.xb': 'chain_broken',
      'since.xb': undefined,
      'empty.xb': 'source_empty',
    })
  })
})

test.each([
  ['cluster1-2026-11-27-16:35:10-full', Date.UTC(2026, 10, 27, 16, 35, 10)],
  ['svc-2026-11-27-16-35-10-xtrabackup.stream', Date.UTC(2026, 10, 27, 16, 35, 10)],
  ['stream_20261127T162910Z', Date.UTC(2026, 10, 27, 16, 29, 10)],
  ['full_2026-02-28T01:02:03.xb', Date.UTC(2026, 1, 28, 1, 2, 3)],
  ['2026-02-30-01:02:03', null],
  ['20261327000000', null],
  ['2026-11-27', null],
  ['123456789012345678', null],
])('the time in %s', (name, timeMs) => {
  expect(timeInName(name)).toBe(timeMs)
})
