import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { filledIn, panelQueries } from './run/queries.ts'
import { eventually, holdPrepare, type Restore, type RestoreRequest, requestIn, startRestore } from './run/restore.ts'
import { type Stack, startStack } from './run/stack.ts'
import { faultsOf, named } from './run/trace-shape.ts'

/** The agent dies by SIGKILL while its tool prepares; another one takes over. */
const S = 1000

let stack: Stack
let request: RestoreRequest
let restore: Restore
let held: number
let restoreId: string
let traceId: string

beforeAll(async () => {
  stack = await startStack()
  request = requestIn(stack, inject('backup'))
  restore = startRestore(request)
  held = await holdPrepare(restore)
  const state = restore.state()!
  restoreId = state.restoreId
  traceId = state.trace.traceId
  // What ended within the last second before a kill may be missing: no exporter can do better.
  await sleep(3 * S)
  restore.kill('SIGKILL')
  await restore.ended
})
afterAll(async () => {
  restore?.kill('SIGKILL')
  await stack?.stop()
})

describe('an agent killed in mid-restore', () => {
  test('leaves a trace that shows what was finished, nothing twice', async () => {
    const trace = await eventually('the extract in Jaeger', 10 * S, async () => {
      const now = await stack.jaeger.trace(traceId)
      return now && named(now, 'restoring_basebackup').length > 0 && now
    })
    expect(named(trace, 'getting_backup_info')).toHaveLength(1)
    expect(named(trace, 'restore')).toHaveLength(1)
    expect(named(trace, 'preparing_backup')).toEqual([])
    expect(named(trace, 'restore outcome')).toEqual([])
    expect(new Set(trace.spans.map(({ spanId }) => spanId)).size).toBe(trace.spans.length)
  })

  test(
    'fires RestoreAgentVanished, and nothing else',
    async () => {
      const killedAt = Date.now()
      const [alert] = await eventually('RestoreAgentVanished', 200 * S, async () => {
        const firing = await stack.prometheus.firing('RestoreAgentVanished')
        return firing.length > 0 && firing
      })
      console.log(`RestoreAgentVanished fired ${((Date.now() - killedAt) / S).toFixed(0)} s after the kill`)
      expect(alert).toMatchObject({ restore_id: restoreId, severity: 'critical' })
      const names = (await stack.prometheus.query('ALERTS{alertstate="firing"}')).map(({ labels }) => labels.alertname)
      expect(names).toEqual(['RestoreAgentVanished'])
    },
    220 * S,
  )
})

describe('the same command again', () => {
  test(
    'takes over: the alert ends',
    async () => {
      restore = startRestore(request)
      const resumed = await restore.until(
        'the take-over',
        ({ status, tools }) => status === 'running' && tools.length > 0,
      )
      expect(resumed.restoreId).toBe(restoreId)
      await eventually(
        'its end',
        40 * S,
        async () => (await stack.prometheus.firing('RestoreAgentVanished')).length === 0,
      )
    },
    60 * S,
  )

  test(
    'ends well, in one trace with nothing twice',
    async () => {
      process.kill(-held, 'SIGCONT')
      const { exitCode, stderr } = await restore.ended
      expect(exitCode, stderr).toBe(0)
      const trace = await eventually('the root in Jaeger', 15 * S, async () => {
        const now = await stack.jaeger.trace(traceId)
        return now && named(now, 'restore outcome').length > 0 && now
      })
      expect(faultsOf(trace)).toEqual([])
      expect(named(trace, 'restoring_basebackup')).toHaveLength(1)
      // Two processes made it.
      expect(new Set(trace.spans.map(({ pid }) => pid)).size).toBe(2)
      const attempts = named(trace, 'attempt')
      for (const [index, attempt] of attempts.slice(1).entries())
        expect(attempt.links).toContain(attempts[index]!.spanId)
    },
    90 * S,
  )

  test('is all that the dashboards show, though what the dead agent said last still answers', async () => {
    const ask = async (dashboard: string, panel: string) => {
      const exprs = panelQueries.filter(query => query.dashboard === dashboard && query.panel === panel)
      const answers = exprs.map(({ expr }) => stack.prometheus.query(filledIn(expr, restoreId)))
      return (await Promise.all(answers)).flat()
    }
    const phasesShown = async () => (await ask('Restore', 'Phases')).map(({ labels }) => labels.restore_phase)
    await eventually('completed', 15 * S, async () => (await phasesShown()).includes('completed'))
    expect(await phasesShown()).toEqual(['completed'])
    expect(await stack.prometheus.query(`restore_phase_status{restore_phase="preparing_backup"} == 1`)).toHaveLength(1)
    expect(await ask('Restore', 'Since progress')).toEqual([])
    expect(await ask('Restores', 'Restores now')).toEqual([])
  })
})
