import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseMemory } from '../../../src/restore/plan/build-plan.ts'
import { sampleDescription } from '../../support/samples.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const available = (bytes: number) => ({ bytes, reason: 'MemAvailable' })
const extracted = (dataFileBytes: number, redoBytes: number | null) => ({
  dataFileBytes,
  redoBytes,
  files: 1,
  deltaFiles: {},
})

test('auto takes 70 % of what is available, and says of what', () => {
  expect(chooseMemory('auto', available(10 * GIB), 256 * MIB, sampleDescription(), null)).toEqual({
    bytes: 7 * GIB,
    reason: '70 % of the 10.0 GiB available (MemAvailable); less if prepare of this backup cannot use it',
  })
  const { reason } = chooseMemory('auto', available(GIB), 256 * MIB, sampleDescription(), extracted(GIB, GIB))
  expect(reason).toBe('70 % of the 1.0 GiB available (MemAvailable)')
})

test('auto takes no more than the backup can use', () => {
  const chosen = chooseMemory('auto', available(10 * GIB), 256 * MIB, sampleDescription(), extracted(GIB, GIB))
  expect(chosen).toEqual({ bytes: 2.5 * GIB, reason: 'prepare of this backup cannot use more' })
})

test('auto never takes less than the tool needs', () => {
  const small = chooseMemory('auto', available(10 * GIB), 256 * MIB, sampleDescription(), extracted(MIB, MIB))
  expect(small.bytes).toBe(256 * MIB)
  expect(chooseMemory('auto', available(300 * MIB), 256 * MIB, sampleDescription(), null).bytes).toBe(256 * MIB)
})

test('too little for the tool is refused', () => {
  expect(() => chooseMemory('auto', available(100 * MIB), 256 * MIB, sampleDescription(), null)).toThrow(
    expect.objectContaining({ code: 'memory' }),
  )
})

test('what was asked for is taken, or refused where it is not there', () => {
  const ask = (bytes: number) => chooseMemory(bytes, available(GIB), 32 * MIB, sampleDescription(), null)
  expect(ask(512 * MIB)).toEqual({ bytes: 512 * MIB, reason: 'as --use-memory says' })
  expect(ask(MIB)).toEqual({ bytes: 32 * MIB, reason: 'the least that prepare needs; --use-memory says 1.0 MiB' })
  expect(() => chooseMemory(MIB, available(16 * MIB), 32 * MIB, sampleDescription(), null)).toThrow(/at least 32.0 MiB/)
  expect(() => ask(2 * GIB)).toThrow(
    expect.objectContaining({ code: 'memory', message: expect.stringContaining('1.0 GiB') }),
  )
})

test('auto lies between the floor and what is available', () => {
  const bytes = fc.integer({ min: 0, max: 2 ** 40 })
  fc.assert(
    fc.property(bytes, bytes, fc.option(bytes), fc.integer({ min: 1, max: 2 ** 30 }), (free, data, redo, floor) => {
      fc.pre(free >= floor)
      const { bytes: chosen } = chooseMemory('auto', available(free), floor, sampleDescription(), extracted(data, redo))
      expect(chosen).toBeGreaterThanOrEqual(floor)
      expect(chosen).toBeLessThanOrEqual(Math.max(floor, free * 0.7 + MIB))
    }),
  )
})
