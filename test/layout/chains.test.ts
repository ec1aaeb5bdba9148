import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chooseBackup, judgeChains } from '../../src/layout/chains.ts'
import { incomplete, type StoredBackup } from '../../src/layout/layout.ts'
import { thrownBy } from '../support/thrown-by.ts'

const DAY = 86_400_000
const backup = (
  id: string,
  day: number,
  baseId: string | null = null,
  more: Partial<StoredBackup> = {},
): StoredBackup => ({
  id,
  timeMs: day * DAY,
  kind: baseId === null ? 'full' : 'incremental',
  baseId,
  fromLsn: null,
  toLsn: null,
  storedBytes: 1,
  extractedBytes: null,
  files: null,
  complete: true,
  problem: null,
  keys: [],
  note: null,
  assemble: () => ({ kind: 'concatenated', keys: [id] }),
  ...more,
})

const choose = (backups: readonly StoredBackup[], wanted: string, beforeMs: number | null = null) => {
  const { chain, older } = chooseBackup(judgeChains(backups), { place: '/p', wanted, beforeMs })
  const ids = (of: readonly StoredBackup[]) => of.map(({ id }) => id).join('+')
  return [ids(chain), ...older.map(ids)]
}

describe('of some backups', () => {
  const week = [backup('a', 1), backup('b', 2, 'a'), backup('x/c', 3), backup('d', 4, 'x/c'), backup('e', 5, 'd')]

  test('the latest is taken with its chain, and those before it are older ones', () => {
    expect(choose(week, 'latest')).toEqual(['x/c+d+e', 'x/c+d', 'x/c', 'a+b', 'a'])
  })

  test('a time leaves out what is not older', () => {
    expect(choose(week, 'latest', 3 * DAY)).toEqual(['a+b', 'a'])
    expect(choose(week, 'latest', 3 * DAY + 1)).toEqual(['x/c', 'a+b', 'a'])
    expect(thrownBy(() => choose(week, 'latest', DAY)).code).toBe('backup_missing')
  })

  test('one is taken by its name, whole or its last part', () => {
    expect(choose(week, 'x/c')[0]).toBe('x/c')
    expect(choose(week, 'c')[0]).toBe('x/c')
    expect(choose(week, 'b')[0]).toBe('a+b')
    expect(thrownBy(() => choose(week, 'f'))).toMatchObject({ code: 'backup_missing', message: '/p has no backup f' })
    expect(thrownBy(() => choose([...week, backup('y/c', 9)], 'c')).message).toContain('2 backups of the name c')
  })

  test('what cannot be restored is passed over, and refused by name with its cause', () => {
    const broken = [...week.slice(0, 3), backup('d', 4, 'x/c', { problem: incomplete('a chunk is missing') }), week[4]!]
    expect(choose(broken, 'latest')).toEqual(['x/c', 'a+b', 'a'])
    const refused = thrownBy(() => choose(broken, 'e'))
    expect(refused.code).toBe('backup_incomplete')
    expect(refused.message).toBe('/p: e cannot be restored: its base d cannot be restored: a chunk is missing')
  })

  test('bases that go round in a circle, or that are not there, are told', () => {
    const odd = [backup('a', 1, 'b'), backup('b', 2, 'a'), backup('c', 3, 'nowhere'), backup('d', 4, 'd')]
    expect(judgeChains(odd).map(({ problem }) => problem?.code)).toEqual(Array(4).fill('chain_broken'))
  })

  test('a chain always begins with a full backup, each element on the one before, whatever the bases', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const some = fc.uniqueArray(fc.tuple(id, fc.nat(9), fc.option(id)), { selector: ([name]) => name })
    fc.assert(
      fc.property(some, entries => {
        const backups = entries.map(([name, day, base]) => backup(name, day, base))
        const usable = judgeChains(backups).filter(({ problem }) => problem === null)
        if (usable.length === 0) return
        const { chain, older } = chooseBackup(judgeChains(backups), { place: '/p', wanted: 'latest', beforeMs: null })
        expect(older).toHaveLength(usable.length - 1)
        for (const each of [chain, ...older]) {
          expect(each[0]!.baseId).toBeNull()
          for (const [index, element] of each.entries()) if (index > 0) expect(element.baseId).toBe(each[index - 1]!.id)
        }
      }),
    )
  })
})
