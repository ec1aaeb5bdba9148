import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { endGroups } from '../../src/process/kill-groups.ts'
import { acquireLock } from '../../src/process/lock.ts'
import { startPipeline } from '../../src/process/pipeline.ts'
import { isAlive, isRunning, listPids, readProcStat } from '../../src/process/proc-stat.ts'
import type { StartedTool } from '../../src/process/start-tool.ts'
import { readExit } from '../../src/process/tool-exit.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { fixture } from './fixture.ts'

const stderrOf = (tool: StartedTool) => readFileSync(tool.stderrPath, 'utf8')

async function start(file: string, args: string[] = [], lockFd?: number): Promise<StartedTool> {
  const { tools } = await startPipeline({
    stages: [{ name: 'tool', file, args }],
    stdin: 'ignore',
    runDir: scratch(),
    label: 'run',
    lockFd,
  })
  return tools[0]!
}

const runningInGroup = (pgid: number) =>
  listPids()
    .flatMap(pid => readProcStat(pid) ?? [])
    .filter(stat => stat.pgid === pgid && isRunning(stat))

test('a tool that ignores SIGTERM ends at SIGINT, long before the grace is over, and its status is written', async () => {
  const tool = await start(fixture('stubborn.sh'))
  await until(() => stderrOf(tool).includes('ready'), 'the trap')
  process.kill(-tool.pgid, 'SIGTERM')
  process.kill(-tool.pgid, 'SIGHUP')
  await expect(until(() => !isAlive(tool.pid, tool.startTicks), 'its end', 300)).rejects.toThrow()
  const startedAtMs = performance.now()
  await endGroups([tool], { graceMs: 10_000 })
  expect(performance.now() - startedAtMs).toBeLessThan(3000)
  expect(runningInGroup(tool.pgid)).toEqual([])
  expect(await tool.exited).toEqual({ code: null, signal: 'SIGINT' })
  expect(readExit(tool.statusPath)).toEqual({ code: null, signal: 'SIGINT' })
})

test('a tool that handles SIGINT itself keeps its own exit code', async () => {
  const tool = await start('sh', ['-c', 'trap "exit 7" INT; echo ready >&2; while :; do sleep 0.05; done'])
  await until(() => stderrOf(tool).includes('ready'), 'the trap')
  await endGroups([tool])
  expect(await tool.exited).toEqual({ code: 7, signal: null })
})

test('what ignores SIGINT is killed after the grace, its children too', async () => {
  const tools = await Promise.all([start(fixture('deaf.sh')), start(fixture('deaf.sh'))])
  for (const tool of tools) await until(() => stderrOf(tool).includes('ready'), 'the trap')
  const startedAtMs = performance.now()
  await endGroups(tools, { graceMs: 300 })
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(295)
  for (const tool of tools) {
    expect(runningInGroup(tool.pgid)).toEqual([])
    expect(await tool.exited).toEqual({ code: null, signal: 'SIGKILL' })
  }
})

test('a process left behind by its tool is ended when it holds our lock, and only then', async () => {
  const lock = acquireLock(join(scratch(), 'lock'))
  const tool = await start(fixture('orphan-maker.sh'), [], lock.fd)
  expect(await tool.exited).toEqual({ code: 5, signal: null })
  const orphan = readProcStat(Number(stderrOf(tool)))!
  expect(orphan.pgid).toBe(tool.pgid)
  await endGroups([tool], { graceMs: 50 })
  expect(isAlive(orphan.pid, orphan.startTicks)).toBe(true)
  await endGroups([tool], { graceMs: 50, lock })
  expect(isAlive(orphan.pid, orphan.startTicks)).toBe(false)
  lock.release()
})

test('a group whose leader dies while it is ended is still ended', async () => {
  const tool = await start('sh', ['-c', 'trap "" INT; sleep 1000 & echo $! >&2; trap "exit 0" INT; wait'])
  const pid = await until(() => Number(stderrOf(tool)) || null, 'the child')
  await endGroups([tool], { graceMs: 300 })
  expect(runningInGroup(tool.pgid)).toEqual([])
  expect(readProcStat(pid)).toSatisfy(stat => stat === null || !isRunning(stat))
})

test('a group that has the number of ours, but another leader, is left alone', async () => {
  const tool = await start('sleep', ['100'])
  await endGroups([{ ...tool, startTicks: tool.startTicks - 1 }], { graceMs: 50 })
  expect(isAlive(tool.pid, tool.startTicks)).toBe(true)
  await endGroups([tool])
  expect(isAlive(tool.pid, tool.startTicks)).toBe(false)
})

test('a tool is ended however early it is asked to end', async () => {
  for (let round = 0; round < 30; round++) {
    const tool = await start('sleep', ['100'])
    await sleep(round / 4)
    const startedAtMs = performance.now()
    await endGroups([tool], { graceMs: 10_000 })
    expect(performance.now() - startedAtMs).toBeLessThan(5000)
    expect(await tool.exited).toEqual({ code: null, signal: 'SIGINT' })
  }
})

test('nothing to end', async () => {
  await expect(endGroups([])).resolves.toBeUndefined()
  const tool = await start('true')
  await tool.exited
  await expect(endGroups([tool])).resolves.toBeUndefined()
})
