import { expect, test } from 'vitest'
import { defaultReserve, stillToCome } from '../../../src/restore/run/disk-reserve.ts'
import { samplePlan, sampleState } from '../../support/samples.ts'

test.each([
  [400 * 2 ** 20, 0],
  [10 * 2 ** 30, Math.floor(2 ** 30 / 10)],
  [50 * 2 ** 30, 2 ** 29],
  [10 * 2 ** 40, 2 ** 30],
])('of a file system of %i bytes %i are kept free', (total, kept) => {
  expect(defaultReserve(total)).toBe(kept)
})

test('what is still to come is named: of this element what was not read, and the later ones', () => {
  const [element] = samplePlan().elements
  const of = (name: string, storedBytes: number | null) => ({
    ...element!,
    name,
    description: { ...element!.description, storedBytes },
  })
  const plan = { ...samplePlan(), elements: [of('full.xb', 3e9), of('inc1.xb', 1e9), of('inc2.xb', null)] }
  const state = sampleState({ position: 1, source: { readBytes: 1e9, totalBytes: 3e9 } })
  expect(stillToCome(state, plan, 1)).toMatch(
    /^\S+ \S+ of full\.xb, \S+ \S+ of inc1\.xb, an unknown part of inc2\.xb \(/,
  )
  expect(stillToCome(state, plan, 2)).toMatch(/^\S+ \S+ of inc1\.xb, /)
})
