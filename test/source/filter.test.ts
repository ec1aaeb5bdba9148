import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { filterHead } from '../../src/source/filter.ts'

const MIB = 1024 ** 2

test('bytes that are no text cost no more than to carry them: nobody else waits while a head is looked at', async () => {
  const head = randomBytes(20 * MIB)
  const before = process.cpuUsage()
  const { output } = await filterHead({ file: 'cat', args: [] }, head, 16 * MIB)
  const { user } = process.cpuUsage(before)
  expect(output.equals(head.subarray(0, 16 * MIB))).toBe(true)
  // CPU, not time: a loaded machine makes it no dearer. A message with the bytes in it takes 1.2 s.
  expect(user / 1000).toBeLessThan(800)
})

test('what comes out is cut at the limit, and a filter that ends by itself is told from one that was ended', async () => {
  const head = Buffer.from('0123456789')
  const whole = await filterHead({ file: 'cat', args: [] }, head, 100)
  expect([whole.output.toString(), whole.ended]).toEqual(['0123456789', true])
  const { output, ended } = await filterHead({ file: 'sh', args: ['-c', 'cat; exec sleep 60'] }, head, 4)
  expect([output.toString(), ended]).toEqual(['0123', false])
})
