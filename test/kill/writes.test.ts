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
  // It had ended, and nobody had heard of it: the same command says so, and restores nothing again.
  expect(ended.code, ended.stderr).toBe(0)
  const journal = at.journal()
  expect(times(journal, 'restore_started')).toBe(1)
  expect(times(journal, 'attempt_ended')).toBe(1)
  // Observers hear of the end from both agents.
  expect(times(journal, 'ended', 'completed')).toBe(2)
})
