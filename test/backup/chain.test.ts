import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ChainElement, checkChain } from '../../src/backup/chain.ts'
import { thrownBy } from '../support/thrown-by.ts'

const element = (index: number, rest: Partial<ChainElement> = {}): ChainElement => ({
  name: index === 0 ? 'full' : `inc${index}`,
  kind: index === 0 ? 'full' : 'incremental',
  family: 'xtrabackup',
  serverUuid: 'server-a',
  backupUuid: `backup-${index}`,
  fromLsn: index === 0 ? 0 : index * 100,
  toLsn: (index + 1) * 100,
  prepared: false,
  ...rest,
})
const chainOf = (length: number): ChainElement[] => Array.from({ length }, (_, index) => element(index))
const message = (chain: ChainElement[]): string => {
  const error = thrownBy(() => checkChain(chain))
  expect(error.code).toBe('chain_broken')
  return error.message
}

describe('checkChain', () => {
  test('names what is wrong', () => {
    const [full, inc1, inc2, inc3] = chainOf(4) as [ChainElement, ChainElement, ChainElement, ChainElement]
    expect(message([])).toBe('no backup was given')
    expect(message([inc1, full])).toBe('element 1 (inc1) is an incremental, but a chain begins with a full backup')
    expect(message([full, { ...full, backupUuid: 'x', toLsn: 200 }])).toBe(
      'element 2 (full) is a full backup, but only incrementals follow the first',
    )
    expect(message([full, inc2])).toBe(
      'element 2 (inc2) begins at LSN 200, but element 1 (full) ends at LSN 100: a backup between them is missing',
    )
    expect(message([full, inc2, inc1, inc3])).toBe(
      'element 2 (inc2) begins at LSN 200, but element 1 (full) ends at LSN 100: ' +
        'it follows element 3 (inc1), the order is wrong',
    )
    expect(message([full, inc1, { ...inc3, fromLsn: 150 }])).toContain('it was taken on another base')
    expect(message([full, inc1, inc1])).toBe('element 3 (inc1) is the same backup as element 2 (inc1)')
    expect(message([full, inc1, { ...inc1, backupUuid: null }])).toContain('is the same backup as')
    expect(message([full, { ...inc1, family: 'mariadb-backup' }])).toBe(
      'element 2 (inc1) was made by mariadb-backup, but element 1 (full) by xtrabackup',
    )
    expect(message([full, inc1, { ...inc2, serverUuid: 'server-b' }])).toContain('is of server server-b, but element 1')
    expect(message([full, { ...inc1, prepared: true }])).toContain('is prepared already')
  })

  test('a prepared base and an incremental of an idle server are fine', () => {
    const idle = element(1, { fromLsn: 100, toLsn: 100 })
    const chain = [element(0, { prepared: true }), idle, { ...idle, backupUuid: 'other' }, element(2, { fromLsn: 100 })]
    expect(() => checkChain(chain)).not.toThrow()
  })

  const knowns = fc.record({
    length: fc.integer({ min: 1, max: 12 }),
    hide: fc.array(fc.constantFrom('fromLsn', 'toLsn', 'family', 'serverUuid', 'backupUuid', 'kind'), { maxLength: 6 }),
    hideAt: fc.nat({ max: 11 }),
  })
  test('an intact chain passes, whatever of it is unknown', () => {
    fc.assert(
      fc.property(knowns, ({ length, hide, hideAt }) => {
        const chain = chainOf(length).map((one, index) =>
          index === hideAt ? { ...one, ...Object.fromEntries(hide.map(key => [key, null])) } : one,
        )
        checkChain(chain)
      }),
    )
  })

  test('any one fault in a known chain is found at an element that exists', () => {
    const fault = fc.integer({ min: 3, max: 10 }).chain(length =>
      fc.record({
        length: fc.constant(length),
        at: fc.integer({ min: 1, max: length - 2 }),
        what: fc.constantFrom('drop', 'swap', 'repeat', 'gap', 'overlap'),
      }),
    )
    fc.assert(
      fc.property(fault, ({ length, at, what }) => {
        const chain = chainOf(length)
        const here = chain[at]!
        if (what === 'drop') chain.splice(at, 1)
        if (what === 'swap') chain.splice(at, 2, chain[at + 1]!, here)
        if (what === 'repeat') chain.splice(at, 0, here)
        if (what === 'gap') chain[at] = { ...here, fromLsn: here.fromLsn! + 1 }
        if (what === 'overlap') chain[at] = { ...here, fromLsn: here.fromLsn! - 1 }
        const position = Number(/^element (\d+)/.exec(message(chain))![1])
        expect(position).toBe(what === 'repeat' ? at + 2 : at + 1)
      }),
    )
  })
})
