import { closeSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { panelQueries, withoutData } from './run/queries.ts'
import { replayedBackup } from './run/replay.ts'
import { type Restore, startRestore } from './run/restore.ts'
import { type Stack, startStack } from './run/stack.ts'

/**
 * From the line that the tool prints to the percent that Prometheus answers with, for every percent of a transcript
 * with some 600 lines that carry one: p95 at most one export interval + 2 s.
 */
const EXPORT_MS = 2000
const TRANSCRIPT = '8.0.35-multi-batch-undo'
const SPEED = 3

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack?.stop())

/** When each percent was first reached, in ms. */
type Reached = Map<number, number>

/** MyHoard's formula over the lines of the tool's stderr, as they appear in the file. */
async function printed(restore: Restore, lastLsn: number, over: { now: boolean }): Promise<Reached> {
  const state = await restore.until('prepare', ({ phase, tools }) => phase === 'preparing_backup' && tools.length > 0)
  const file = openSync(state.tools[0]!.stderrPath, 'r')
  const reached: Reached = new Map()
  const buffer = Buffer.alloc(1 << 16)
  let [text, first, highest] = ['', 0, 0]
  for (; !over.now; await sleep(10)) {
    const length = readSync(file, buffer)
    text += buffer.toString('latin1', 0, length)
    const lines = text.split('\n')
    text = lines.pop()!
    for (const line of lines) {
      const lsn = Number(/scanned up to log sequence number (\d+)/.exec(line)?.[1] ?? 0)
      if (lsn <= highest) continue
      highest = lsn
      first ||= lsn
      const percent = Math.floor((100 * (lsn - first)) / (lastLsn - first))
      if (!reached.has(percent)) reached.set(percent, Date.now())
    }
  }
  closeSync(file)
  return reached
}

async function visible(restoreId: string, over: { now: boolean }): Promise<Reached> {
  const reached: Reached = new Map()
  for (; !over.now; await sleep(50)) {
    const [sample] = await stack.prometheus.query(`restore_prepare_scan_progress_percent{restore_id="${restoreId}"}`)
    if (sample && !reached.has(sample.value)) reached.set(sample.value, Date.now())
  }
  return reached
}

test('a percent is in Prometheus one export interval and 2 s after its line, p95', async () => {
  const beganS = Date.now() / 1000
  const directory = join(stack.directory, 'replayed')
  mkdirSync(directory)
  const { source, flags, env } = replayedBackup(directory, TRANSCRIPT, SPEED)
  const restore = startRestore({
    sources: [source],
    directory,
    otlpUrl: stack.otlpUrl,
    exportIntervalMs: EXPORT_MS,
    flags,
    env,
  })
  const { restoreId } = await restore.until('its id', state => state.restoreId !== undefined)
  const lastLsn = Number(/^last_lsn = (\d+)/m.exec(readCheckpoints())![1])
  const over = { now: false }
  const [lines, seen, { exitCode, stderr }] = await Promise.all([
    printed(restore, lastLsn, over),
    visible(restoreId, over),
    restore.ended.finally(() => {
      over.now = true
    }),
  ])
  expect(exitCode, stderr).toBe(0)

  const latencies: number[] = []
  for (const [percent, atMs] of lines) {
    const shown = [...seen].filter(([value]) => value >= percent).map(([, ms]) => ms)
    if (shown.length > 0) latencies.push(Math.min(...shown) - atMs)
  }
  latencies.sort((a, b) => a - b)
  const p95 = latencies[Math.floor(latencies.length * 0.95)]!
  console.log(
    `line to Prometheus, ${latencies.length} percents: median ${latencies[latencies.length >> 1]} ms, p95 ${p95} ms`,
  )
  expect(latencies.length).toBeGreaterThanOrEqual(50)
  expect(p95).toBeLessThanOrEqual(EXPORT_MS + 2000)

  const onlyHere = panelQueries.filter(({ expr }) => /prepare_(rollback_rows|scan_progress)/.test(expr))
  expect(onlyHere).toHaveLength(2)
  expect(await withoutData(stack.prometheus, onlyHere, restoreId, beganS)).toEqual([])

  function readCheckpoints(): string {
    const buffer = Buffer.alloc(4096)
    const file = openSync(join(env.REPLAY_TRANSCRIPT, 'xtrabackup_checkpoints'), 'r')
    const length = readSync(file, buffer)
    closeSync(file)
    return buffer.toString('latin1', 0, length)
  }
}, 120_000)
