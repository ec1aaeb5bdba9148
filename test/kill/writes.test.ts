import { expect, inject, test } from 'vitest'
import { times } from './journal.ts'
import { expectRestored, place } from './restore-dirs.ts'

/**
 * The agent dies at each of its state writes: what it has done since the write before is done, and not in the file. At
 * every second one the new file is torn besides.
 */
const WRITES = Array.from({ length: 36 }, (_, index) => index + 1)

test.for(WRITES)('agent killed at its state write %i', async write => {
  const at = place()
  const request = { sources: [inject('chain').elements[0]!.zst] }
  const ended = await at.survive(request, [{ at: { write, torn: write % 2 === 0 }, kills: ['agent'] }])
  await expectRestored(at, ended, 'full')
})

test('those are nearly all of them: the last ones come with the end', async () => {
  const at = place()
  const request = { sources: [inject('chain').elements[0]!.zst] }
  const ended = await at.survive(request, [
    { at: { write: WRITES.length }, kills: ['agent'] },
    { at: { event: 'ended' }, kills: ['agent'] },
  ])
  // It had ended: the same command is another restore, which finds the datadir full.
  expect(ended.code).toBe(10)
  expect(times(at.journal(), 'ended', 'completed')).toBe(1)
})
