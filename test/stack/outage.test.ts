import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { eventually, holdPrepare, type Restore, requestIn, startRestore } from './run/restore.ts'
import { type Stack, startStack } from './run/stack.ts'
import { faultsOf, named } from './run/trace-shape.ts'

/** Backends away for a minute in mid-restore: the collector itself, then Prometheus behind the collector's queue. */
const EXPORT_MS = 2000
const OUTAGE_MS = 60_000
const S = 1000

let stack: Stack
let restore: Restore
let held: number
let restoreId: string

beforeAll(async () => {
  stack = await startStack()
  restore = startRestore(requestIn(stack, inject('backup'), { exportIntervalMs: EXPORT_MS }))
  // Held in the middle, so that the outages are in mid-restore for certain.
  held = await holdPrepare(restore)
  restoreId = restore.state()!.restoreId
})
afterAll(async () => {
  restore?.kill('SIGKILL')
  await stack?.stop()
})

/** Times of the agent's exports that Prometheus has, Unix seconds. */
async function exportsWithin(fromMs: number, toMs: number): Promise<number[]> {
  const [series] = await stack.prometheus.samples(`restore_heartbeat_time_seconds{restore_id="${restoreId}"}[15m]`)
  return (series?.points ?? []).map(([t]) => t).filter(t => t * S >= fromMs && t * S <= toMs)
}
const largestGap = (times: number[]) => Math.max(...times.slice(1).map((t, i) => t - times[i]!))

/** Waits for an export made after `sinceMs` to be in Prometheus. */
const exportAfter = (sinceMs: number, withinMs: number) =>
  eventually('a new export', withinMs, async () => (await exportsWithin(sinceMs, Date.now())).length > 0)

async function away(service: 'collector' | 'prometheus'): Promise<{ fromMs: number; toMs: number }> {
  await stack.services[service].stop()
  const fromMs = Date.now()
  await sleep(OUTAGE_MS)
  expect(restore.state()!.status).toBe('running')
  await stack.services[service].start()
  return { fromMs, toMs: Date.now() }
}

describe('in mid-restore', () => {
  test(
    'the collector is away: what the agent could not deliver is a gap, and exports go on afterwards',
    async () => {
      await exportAfter(Date.now(), 15 * S)
      const { fromMs, toMs } = await away('collector')
      await exportAfter(toMs, 20 * S)
      const gap = largestGap(await exportsWithin(fromMs - 20 * S, Date.now()))
      console.log(`gap of ${gap.toFixed(1)} s for ${OUTAGE_MS / S} s without collector`)
      // The exporter tries again for 10 s; only the last of these exports can have come through.
      expect(gap).toBeGreaterThan(OUTAGE_MS / S - 15)
      expect(gap).toBeLessThan(OUTAGE_MS / S + 20)
    },
    150 * S,
  )

  test(
    'Prometheus is away: its gap is filled from the queue',
    async () => {
      // Clear of the gap that the collector left.
      await sleep(8 * S)
      const { fromMs, toMs } = await away('prometheus')
      await exportAfter(toMs, 40 * S)
      const times = await eventually('the gap to be filled', 30 * S, async () => {
        const found = await exportsWithin(fromMs - 5 * S, toMs + 5 * S)
        return largestGap(found) <= (2 * EXPORT_MS) / S && found
      })
      console.log(
        `${times.length} exports of ${((toMs - fromMs) / S).toFixed(0)} s, largest gap ${largestGap(times).toFixed(1)} s`,
      )
      expect(times.length).toBeGreaterThan((0.8 * (toMs - fromMs)) / EXPORT_MS)
    },
    180 * S,
  )

  test(
    'the restore is unharmed, and so is its trace',
    async () => {
      process.kill(-held, 'SIGCONT')
      const { exitCode, stderr } = await restore.ended
      expect(exitCode, stderr).toBe(0)
      const { traceId } = restore.state()!.trace
      const trace = await eventually('the root in Jaeger', 15 * S, async () => {
        const now = await stack.jaeger.trace(traceId)
        return now && named(now, 'restore outcome').length > 0 && now
      })
      expect(faultsOf(trace)).toEqual([])
    },
    90 * S,
  )
})
