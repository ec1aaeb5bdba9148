import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLastLines } from '../../src/process/last-lines.ts'

test('keeps the newest lines, oldest first', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.integer({ min: 1, max: 10 }), (lines, limit) => {
      const last = createLastLines(limit)
      for (const line of lines) last.push(line)
      expect(last.lines()).toEqual(lines.slice(-limit))
    }),
  )
})

test('keeps 200', () => {
  const last = createLastLines()
  for (let i = 0; i < 1000; i++) last.push(String(i))
  expect(last.lines()).toHaveLength(200)
  expect(last.lines()[0]).toBe('800')
})
