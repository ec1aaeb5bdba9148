import { expect, test } from 'vitest'
import { times } from './journal.ts'
import { expectRestored, place } from './restore-dirs.ts'
import { full, started } from './victims.ts'

const ROUNDS = 5
const MOST_MS = 2000

/** From the start of the first agent to the end of the last, killed in the prepare and not, by turns. */
test('killing the agent alone in a prepare costs at most 2 s', async () => {
  const undisturbed: number[] = []
  const killed: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    undisturbed.push(await elapsed(false))
    killed.push(await elapsed(true))
  }
  const costMs = median(killed) - median(undisturbed)
  const seconds = (ms: number) => (ms / 1000).toFixed(2)
  console.log(
    `an agent killed in prepare costs ${seconds(costMs)} s: ${seconds(median(killed))} s instead of ${seconds(median(undisturbed))} s`,
  )
  expect(costMs).toBeLessThanOrEqual(MOST_MS)
})

async function elapsed(isKilled: boolean): Promise<number> {
  const at = place()
  const startedAtMs = performance.now()
  const ended = await at.survive(full(), isKilled ? [{ at: started('1-prepare', 150), kills: ['agent'] }] : [])
  const elapsedMs = performance.now() - startedAtMs
  await expectRestored(at, ended, 'full')
  expect(times(at.journal(), 'run_begun', '1-prepare')).toBe(1)
  return elapsedMs
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
