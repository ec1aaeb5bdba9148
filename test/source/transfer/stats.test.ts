import { expect, test } from 'vitest'
import { countFailure, lookAt, newStats, waitFor } from '../../../src/source/transfer/stats.ts'

test('a slow network and a slow tool are told apart', () => {
  const stats = newStats(0)
  waitFor(stats, 'network', 0)
  stats.writtenBytes = 100
  lookAt(stats, 1000)
  expect(stats.heldByTool).toBe(false)
  expect(stats.waitShares).toEqual({ network: 1, tool: 0, limit: 0 })
  expect(stats.bytesPerSecond).toBe(100)
  waitFor(stats, 'tool', 1000)
  lookAt(stats, 1250)
  expect(stats.heldByTool).toBe(true)
  expect(stats.waitShares!.network).toBeGreaterThan(0.5) // a mean over seconds
  for (let at = 2000; at <= 20_000; at += 250) lookAt(stats, at)
  expect(stats.waitShares!.tool).toBeGreaterThan(0.9)
  expect(stats.bytesPerSecond).toBeLessThan(5)
})

test('a wait that goes on counts before it ends', () => {
  const stats = newStats(0)
  waitFor(stats, 'limit', 0)
  lookAt(stats, 10_000)
  expect(stats.waitedMs).toEqual({ network: 0, tool: 0, limit: 10_000 })
  waitFor(stats, 'tool', 11_000)
  expect(stats.waitedMs).toEqual({ network: 0, tool: 0, limit: 11_000 })
})

test('shares are of the whole: nothing else is waited for', () => {
  const stats = newStats(0)
  for (const [index, wait] of (['network', 'tool', 'limit', 'tool', 'network'] as const).entries()) {
    waitFor(stats, wait, index * 300)
    lookAt(stats, index * 300 + 250)
    const { network, tool, limit } = stats.waitShares!
    expect(network! + tool! + limit!).toBeCloseTo(1)
  }
})

test('all failed requests are counted, and the newest are kept with their numbers', () => {
  const stats = newStats(0)
  for (let index = 0; index < 40; index++) countFailure(stats, index % 2 === 0 ? 'reset' : '503', Date.now())
  expect(stats.retries).toEqual({ reset: 20, '503': 20 })
  expect(stats.failedRequests.map(({ number }) => number)).toEqual(Array.from({ length: 16 }, (_, index) => 25 + index))
})
