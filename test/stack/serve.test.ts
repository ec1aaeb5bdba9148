import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type Daemon, startDaemon } from './run/daemon.ts'
import { eventually } from './run/restore.ts'
import { type Stack, startStack } from './run/stack.ts'
import { faultsOf, named } from './run/trace-shape.ts'

/** One daemon, two restores right after each other: one that fails at once, one that succeeds. */
const EXPORT_MS = 1000
const S = 1000

let stack: Stack
let daemon: Daemon
let failed: string
let restored: string

beforeAll(async () => {
  stack = await startStack()
  const directory = join(stack.directory, 'daemon')
  mkdirSync(directory)
  const sources = { gone: join(directory, 'nowhere.xb.zst'), good: inject('backup') }
  daemon = await startDaemon(directory, sources, {
    OTEL_EXPORTER_OTLP_ENDPOINT: stack.otlpUrl,
    OTEL_METRIC_EXPORT_INTERVAL: String(EXPORT_MS),
  })
  failed = await daemon.post('gone')
  expect(await daemon.ended()).toBe('failed')
  restored = await daemon.post('good')
  expect(await daemon.ended()).toBe('succeeded')
  await eventually('succeeded', 15 * S, async () => (await stateOf(restored)) === 'succeeded')
}, 180 * S)
afterAll(async () => {
  await daemon?.stop()
  await stack?.stop()
})

const last = (metric: string, restoreId: string) =>
  stack.prometheus.query(`last_over_time(${metric}{restore_id="${restoreId}"}[10m]) > 0`)

const stateOf = async (restoreId: string) => {
  const states = await last('restore_status', restoreId)
  return states.map(({ labels }) => labels.restore_state).join()
}

const exportsOf = async (restoreId: string) => {
  const [series] = await stack.prometheus.samples(`restore_heartbeat_time_seconds{restore_id="${restoreId}"}[10m]`)
  return (series?.points ?? []).map(([t]) => t)
}

describe('two restores of a daemon', () => {
  test('each ends in Prometheus as it ended, with its own errors', async () => {
    expect([await stateOf(failed), await stateOf(restored)]).toEqual(['failed', 'succeeded'])
    const errors = async (id: string) => (await last('restore_errors_total', id)).map(({ labels }) => labels.error_type)
    expect([await errors(failed), await errors(restored)]).toEqual([['source_missing'], []])
  })

  test('the first one says nothing while the second runs, and neither does when both have ended', async () => {
    // What is on its way when the end is seen: the last export, where an earlier one told the end already.
    await sleep(2 * EXPORT_MS)
    const [first, second] = [await exportsOf(failed), await exportsOf(restored)]
    expect(first.length).toBeGreaterThan(0)
    expect(second.length).toBeGreaterThan(3)
    expect(first.at(-1)).toBeLessThan(second[1]!)
    await sleep(4 * EXPORT_MS)
    expect([await exportsOf(failed), await exportsOf(restored)]).toEqual([first, second])
    expect(await stack.prometheus.query('{otel_metric_overflow="true"}')).toEqual([])
  })

  test('RestoreFailed fires for the one that failed, and nothing else fires', async () => {
    const firing = await eventually('RestoreFailed', 40 * S, async () => {
      const now = await stack.prometheus.query('ALERTS{alertstate="firing"}')
      return now.length > 0 && now
    })
    expect(firing.map(({ labels }) => [labels.alertname, labels.restore_id])).toEqual([['RestoreFailed', failed]])
  })

  test('each has a trace of its own, whole', async () => {
    for (const id of [failed, restored]) {
      const [trace] = await eventually(`the root of ${id}`, 15 * S, async () => {
        const found = await stack.jaeger.find('restore-agent', 'restore outcome', { 'restore.id': id })
        return found.length > 0 && found
      })
      expect(faultsOf(trace!)).toEqual([])
      expect(named(trace!, 'restore')).toHaveLength(1)
    }
  })
})
