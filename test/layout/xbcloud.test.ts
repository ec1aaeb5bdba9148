import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chooseBackup, judgeChains } from '../../src/layout/chains.ts'
import type { ListedObject, StoredBackup } from '../../src/layout/layout.ts'
import { recognisedLayout } from '../../src/layout/layouts.ts'
import { xbcloud } from '../../src/layout/xbcloud.ts'
import { xbcloudObjects } from '../fixtures/xbcloud-objects.ts'
import { xbstream } from '../fixtures/xbstream-writer.ts'
import { thrownBy } from '../support/thrown-by.ts'
import { backupsOf, realXbcloudListing } from './listings.ts'

const REAL = realXbcloudListing()
const FULL = 'cluster1-2026-11-27-16:35:10-full'
const FIRST = `${FULL}.incr/cluster1-2026-11-27-16:40:10-incr`
const SECOND = `${FULL}.incr/cluster1-2026-11-27-16:45:10-incr`

const plainOf = ({ assemble: _, ...rest }: StoredBackup) => rest
const fromListing = (objects: readonly ListedObject[]) => judgeChains(xbcloud.backups(objects, new Map()))

describe('the listing of a real store of a chain of three', () => {
  test('gives what it holds, in the order of time, with exact sizes', () => {
    expect(recognisedLayout(REAL)).toBe(xbcloud)
    expect(fromListing(REAL).map(plainOf)).toMatchObject([
      { id: FULL, kind: 'full', baseId: null, files: 156, extractedBytes: 116245731, complete: true, problem: null },
      { id: FIRST, kind: 'incremental', baseId: FULL, files: 169, complete: true, problem: null },
      { id: SECOND, kind: 'incremental', baseId: FIRST, files: 169, complete: true, problem: null },
    ])
    expect(fromListing(REAL)[0]!.timeMs).toBe(Date.UTC(2026, 10, 27, 16, 35, 10))
  })

  test('is read the same in any order', () => {
    const expected = fromListing(REAL).map(plainOf)
    fc.assert(
      fc.property(fc.shuffledSubarray(REAL, { minLength: REAL.length }), shuffled => {
        expect(fromListing(shuffled).map(plainOf)).toEqual(expected)
      }),
      { numRuns: 20 },
    )
  })

  test('shows any missing chunk but that of an empty file, and what is built on it', () => {
    const chunks = REAL.filter(({ key }) => /\.\d{20}$/.test(key))
    const fileOf = (key: string) => key.slice(0, -21)
    const counts = new Map<string, number>()
    for (const { key } of chunks) counts.set(fileOf(key), (counts.get(fileOf(key)) ?? 0) + 1)
    fc.assert(
      fc.property(fc.constantFrom(...chunks.filter(({ key }) => counts.get(fileOf(key))! > 1)), lost => {
        const backups = fromListing(REAL.filter(object => object !== lost))
        const hit = backups.find(({ id }) => lost.key.startsWith(`${id}/`))!
        expect(hit).toMatchObject({ complete: false, problem: { code: 'backup_incomplete' } })
        expect(hit.problem!.message).toContain(fileOf(lost.key).slice(hit.id.length + 1))
        const later = backups.slice(backups.indexOf(hit) + 1)
        for (const backup of later) expect(backup.problem?.message).toContain(`its base ${hit.id}`)
      }),
      { numRuns: 100 },
    )
  })

  test('takes a backup apart into keys that are all there, metadata first', () => {
    const assembly = fromListing(REAL)[0]!.assemble()
    if (assembly.kind !== 'concatenated') throw new Error(assembly.kind)
    const theirs = REAL.filter(({ key }) => key.startsWith(`${FULL}/`)).map(({ key }) => key)
    expect([...assembly.keys].sort()).toEqual(theirs.sort())
    expect(assembly.keys.slice(0, 9).join()).toMatch(/xtrabackup_checkpoints/)
    expect(assembly.keys.findIndex(key => key.includes('/ibdata1.'))).toBeGreaterThan(8)
  })
})

const CHECKPOINTS = (from: number, to: number) =>
  `backup_type = ${from === 0 ? 'full-backuped' : 'incremental'}\nfrom_lsn = ${from}\nto_lsn = ${to}\nlast_lsn = ${to}\n`

const store = (id: string, files: Record<string, string>, from = 0, to = 100) =>
  xbcloudObjects(
    id,
    xbstream(
      Object.fromEntries(
        Object.entries({
          xtrabackup_checkpoints: CHECKPOINTS(from, to),
          xtrabackup_info: 'uuid = 1\n',
          ...files,
        }).map(([path, text]) => [path, Buffer.from(text)]),
      ),
    ),
  )

describe('a store', () => {
  test('of a backup without xtrabackup_info is not complete', () => {
    const objects = Object.entries(store('a', { ibdata1: 'x' })).filter(([key]) => !key.includes('xtrabackup_info'))
    expect(backupsOf(xbcloud, Object.fromEntries(objects))[0]).toMatchObject({
      complete: false,
      problem: { code: 'backup_incomplete', message: 'it has no xtrabackup_info, which is stored last' },
    })
  })

  test('of a chain whose LSNs do not meet is broken', () => {
    const objects = {
      ...store('s/2026-01-01-00:00:00-full', { ibdata1: 'x' }),
      ...store('s/2026-01-01-00:00:00-full.incr/2026-01-02-00:00:00-incr', { 'ibdata1.delta': 'x' }, 150, 200),
    }
    expect(backupsOf(xbcloud, objects)[1]).toMatchObject({
      baseId: null,
      problem: { code: 'chain_broken', message: 'no backup here ends at LSN 150, where it begins' },
    })
  })

  test('of incrementals that all begin at the full backup links each to it', () => {
    const objects = {
      ...store('2026-01-01-00:00:00', { ibdata1: 'x' }),
      ...store('2026-01-02-00:00:00', { 'ibdata1.delta': 'x' }, 100, 200),
      ...store('2026-01-03-00:00:00', { 'ibdata1.delta': 'x' }, 100, 300),
      ...store('2026-01-04-00:00:00', { 'ibdata1.delta': 'x' }, 300, 400),
    }
    expect(backupsOf(xbcloud, objects).map(({ baseId }) => baseId)).toEqual([
      null,
      '2026-01-01-00:00:00',
      '2026-01-01-00:00:00',
      '2026-01-03-00:00:00',
    ])
  })

  test('with a list of hashes shows a file that is missing altogether', () => {
    const objects = { ...store('a', { ibdata1: 'x', 'db/empty.MYD': '' }) }
    const list = Object.keys(objects).map(key => `${'0'.repeat(32)}  ${key.slice(2)}\n`)
    delete objects['a/db/empty.MYD.00000000000000000000']
    expect(backupsOf(xbcloud, objects)[0]!.problem).toBeNull()
    expect(backupsOf(xbcloud, { ...objects, 'a.md5': Buffer.from(list.join('')) })[0]!.problem?.message).toBe(
      'chunks are missing of db/empty.MYD',
    )
  })

  test.each(['../../etc/passwd', 'a/../../b', 'a\u0001b', 'x\u001b[2J/t.ibd'])('with the path %j is refused', path => {
    const objects = { ...store('a', { ibdata1: 'x' }), [`a/${path}.00000000000000000000`]: Buffer.alloc(40) }
    const backups = backupsOf(xbcloud, objects)
    const named = { place: '/p', wanted: 'a', beforeMs: null }
    expect(thrownBy(() => chooseBackup(backups, named)).code).toBe('source_corrupt')
    expect(thrownBy(() => chooseBackup(backups, { ...named, wanted: 'latest' })).code).toBe('backup_missing')
  })

  test('of encrypted files says which key it needs', () => {
    const objects = xbcloudObjects(
      'a',
      xbstream({ 'ibdata1.xbcrypt': Buffer.from('x'), 'xtrabackup_info.xbcrypt': Buffer.from('x') }),
    )
    expect(backupsOf(xbcloud, objects)[0]).toMatchObject({ problem: null, keys: ["xtrabackup's encryption key"] })
  })

  test('whose place is the backup itself is named by a dot', () => {
    const objects = Object.fromEntries(
      Object.entries(store('a', { ibdata1: 'x' })).map(([key, bytes]) => [key.slice(2), bytes]),
    )
    expect(backupsOf(xbcloud, objects)).toMatchObject([{ id: '.', problem: null }])
  })

  test("of sst_info beside PXC's backup is no backup", () => {
    const objects = { ...store('a', { ibdata1: 'x' }), 'a.sst_info/sst_info.00000000000000000000': Buffer.alloc(90) }
    expect(backupsOf(xbcloud, objects).map(({ id }) => id)).toEqual(['a'])
  })

  test('of any keys at all throws nothing', () => {
    const key = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .constantFrom('ibdata1', 'a/ibdata1', 'a/b/ibdata1', '/ibdata1', 'a/xtrabackup_checkpoints', '..', 'a//ibdata1')
        .map(path => `${path}.00000000000000000000`),
    )
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, fc.nat(200)), { selector: ([name]) => name }), entries => {
        const objects = Object.fromEntries(entries.map(([name, bytes]) => [name, Buffer.alloc(bytes, 1)]))
        for (const backup of backupsOf(xbcloud, objects)) expect(backup.storedBytes).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 50 },
    )
  })
})
