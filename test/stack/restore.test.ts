import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import {
  filledIn,
  NOT_IN_EVERY_RESTORE,
  panelQueries,
  ruleExpressions,
  selectorsOf,
  variableQueries,
  withoutData,
} from './run/queries.ts'
import { eventually, holdPrepare, type Restore, requestIn, startRestore } from './run/restore.ts'
import { slowly } from './run/slowly.ts'
import { type Stack, startStack } from './run/stack.ts'
import { faultsOf, named } from './run/trace-shape.ts'

/**
 * One real restore of a real backup, watched in real backends: in mid-flight, stalled for real, and after its end; then
 * one that fails. The tests build on one another, in this order.
 */
const EXPORT_MS = 2000
const STALL_S = 60
const S = 1000

let stack: Stack
let restore: Restore
let restoreId: string
let traceId: string
let beganS: number

beforeAll(async () => {
  stack = await startStack()
})
afterAll(async () => {
  restore?.kill('SIGKILL')
  await stack?.stop()
})

describe('a restore', () => {
  let letGo: () => void
  let held: number

  test('has its root in Jaeger from the first seconds', async () => {
    beganS = Date.now() / S
    const flags = ['--stall-timeout', `${STALL_S}s`, '--deadline', '2h', '--start-check', '--owner', 'nobody:nogroup']
    restore = startRestore(requestIn(stack, inject('backup'), { exportIntervalMs: EXPORT_MS, flags }))
    letGo = slowly(restore, { workMs: 6, pauseMs: 250 })
    const state = await restore.until('its trace', ({ trace }) => trace !== undefined)
    restoreId = state.restoreId
    traceId = state.trace.traceId
    const found = await eventually('the trace in Jaeger', 10 * S, async () => {
      const traces = await stack.jaeger.find('restore-agent', 'restore', { 'restore.id': restoreId })
      return traces[0]
    })
    expect(found.traceId).toBe(traceId)
    expect(named(found, 'restore')).toMatchObject([{ parentId: null, warnings: [] }])
    expect(named(found, 'restore outcome')).toEqual([])
  })

  test('shows finished phases and progress spans while it runs', async () => {
    await restore.until('prepare', ({ phase, tools }) => phase === 'preparing_backup' && tools.length > 0, 90 * S)
    letGo()
    held = await holdPrepare(restore)
    const trace = await eventually('the extract in Jaeger', 10 * S, async () => {
      const now = await stack.jaeger.trace(traceId)
      return now && named(now, 'restoring_basebackup').length > 0 && now
    })
    expect(named(trace, 'getting_backup_info')).toHaveLength(1)
    expect(named(trace, 'restoring_basebackup')).toHaveLength(1)
    const [extract] = named(trace, 'restoring_basebackup')
    const progress = named(trace, 'progress').filter(({ parentId }) => parentId === extract!.spanId)
    // A bar without a gap from 0 to 100: each begins where the one before it ended.
    const from = progress.map(({ tags }) => tags['restore.progress.from'])
    const to = progress.map(({ tags }) => tags['restore.progress.to'])
    expect(from).toEqual([0, ...to.slice(0, -1)])
    expect(to.at(-1)).toBe(100)
    expect(to.length).toBeGreaterThanOrEqual(5)
    expect(named(trace, 'preparing_backup')).toEqual([])
    expect(named(trace, 'restore outcome')).toEqual([])
  })

  test(
    'stalls for real: the alert fires within twice its window, and resolves once the tool goes on',
    async () => {
      const heldAt = Date.now()
      const [alert] = await eventually('RestoreStalled', 2 * STALL_S * S, async () => {
        const firing = await stack.prometheus.firing('RestoreStalled')
        return firing.length > 0 && firing
      })
      console.log(`RestoreStalled fired ${((Date.now() - heldAt) / S).toFixed(0)} s after SIGSTOP`)
      await eventually('critical', 30 * S, async () =>
        (await stack.prometheus.firing('RestoreStalled')).some(({ severity }) => severity === 'critical'),
      )
      expect(alert).toMatchObject({ restore_id: restoreId, restore_phase: 'preparing_backup' })

      process.kill(-held, 'SIGCONT')
      letGo = slowly(restore, { workMs: 20, pauseMs: 900 })
      await eventually('its end', 45 * S, async () => (await stack.prometheus.firing('RestoreStalled')).length === 0)
      expect(restore.state()!.status).toBe('running')
      letGo()
    },
    4 * 60 * S,
  )

  test(
    'ends well, and leaves one clean tree',
    async () => {
      const { exitCode, stderr } = await restore.ended
      expect(exitCode, stderr).toBe(0)
      const trace = await eventually('the outcome in Jaeger', 15 * S, async () => {
        const now = await stack.jaeger.trace(traceId)
        return now && named(now, 'restore outcome').length > 0 && now
      })
      expect(faultsOf(trace)).toEqual([])
      const phases = ['getting_backup_info', 'restoring_basebackup', 'preparing_backup', 'finalizing']
      for (const phase of phases) expect(named(trace, phase), phase).toHaveLength(1)
      const [attempt] = named(trace, 'attempt')
      expect(named(trace, 'preparing_backup')[0]!.parentId).toBe(attempt!.spanId)
      expect(attempt!.parentId).toBe(named(trace, 'restore')[0]!.spanId)
      expect(named(trace, 'mariadb-backup').length).toBeGreaterThan(0)
      expect(named(trace, 'restore')[0]!.tags).toMatchObject({ 'restore.id': restoreId })
      expect(named(trace, 'restore outcome')[0]!.tags).toMatchObject({ 'restore.id': restoreId, result: 'succeeded' })
    },
    120 * S,
  )

  test("its words reach Loki's address, with the trace", async () => {
    const mine = await eventually('restore.completed', 15 * S, async () => {
      const records = stack.loki.records.filter(({ attributes }) => attributes['restore.id'] === restoreId)
      return records.some(({ body }) => /succeeded|completed/i.test(body)) && records
    })
    expect(new Set(mine.map(record => record.traceId))).toEqual(new Set([traceId]))
    expect(mine[0]!.resource).toMatchObject({ 'service.name': 'restore-agent' })
    expect(mine.some(({ severity, body }) => severity === 5 && body.includes('mariadb-backup'))).toBe(true)
  })

  test('its last state is in Prometheus: succeeded, 100 %, no phase running', async () => {
    const last = (expr: string) => stack.prometheus.query(`last_over_time(${expr}{restore_id="${restoreId}"}[10m])`)
    await eventually('succeeded', 15 * S, async () =>
      (await last('restore_status')).some(({ labels, value }) => labels.restore_state === 'succeeded' && value === 1),
    )
    expect((await last('restore_progress_percent')).map(({ value }) => value)).toEqual([100])
    const phases = (await last('restore_phase_status')).filter(({ value }) => value === 1)
    expect(phases.map(({ labels }) => labels.restore_phase)).toEqual(['completed'])
  })
})

describe('a restore that fails', () => {
  test(
    'fires RestoreFailed, with its type counted',
    async () => {
      const truncated = join(stack.directory, 'truncated.xb.zst')
      const whole = readFileSync(inject('backup'))
      writeFileSync(truncated, whole.subarray(0, Math.floor(whole.length / 2)))
      const failing = startRestore(requestIn(stack, truncated, { name: 'failing', exportIntervalMs: EXPORT_MS }))
      const { exitCode, stderr } = await failing.ended
      const { restoreId: failedId } = failing.state()!
      expect(exitCode, stderr).not.toBe(0)
      const alerts = await eventually('RestoreFailed', 40 * S, async () => {
        const firing = await stack.prometheus.firing('RestoreFailed')
        return firing.length > 0 && firing
      })
      expect(alerts.map(({ restore_id }) => restore_id)).toEqual([failedId])
      const errors = await stack.prometheus.query(
        `sum by (error_type) (increase(restore_errors_total{restore_id="${failedId}"}[5m])) > 0`,
      )
      expect(errors.map(({ labels }) => labels.error_type)).toEqual(['source_truncated'])
      const ofErrors = panelQueries.filter(({ expr }) => /restore_errors_total.* > 0/.test(expr))
      expect(ofErrors.length).toBeGreaterThan(0)
      expect(await withoutData(stack.prometheus, ofErrors, failedId, beganS)).toEqual([])
    },
    90 * S,
  )
})

describe('every query that ships returns data of the real restore', () => {
  const queries = panelQueries.filter(({ expr }) => !NOT_IN_EVERY_RESTORE.test(expr))
  const panels = Map.groupBy(queries, ({ dashboard, panel }) => `${dashboard}: ${panel}`)

  test.each([...panels])('%s', async (_, mine) => {
    expect(await withoutData(stack.prometheus, mine, restoreId, beganS)).toEqual([])
  })

  test.each([...new Set(variableQueries)])('%s', async query => {
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(query)!
    const parameters = new URLSearchParams({ 'match[]': filledIn(selector!, restoreId) })
    const response = await fetch(`${stack.prometheus.url}/api/v1/label/${label}/values?${parameters}`)
    expect(((await response.json()) as { data: string[] }).data.length).toBeGreaterThan(0)
  })

  test.each(ruleExpressions.map(({ name, expr }) => [name, expr] as const))('%s', async (_, expr) => {
    await stack.prometheus.query(expr)
    const selectors = await selectorsOf(stack.prometheus, expr)
    expect(selectors.length).toBeGreaterThan(0)
    for (const selector of selectors)
      expect(await stack.prometheus.query(`last_over_time(${selector}[30m])`), selector).not.toEqual([])
  })
})

test('nothing fires for a restore that has ended', async () => {
  await sleep(10 * S)
  const firing = await stack.prometheus.query(`ALERTS{restore_id="${restoreId}",alertstate="firing"}`)
  expect(firing).toEqual([])
})
