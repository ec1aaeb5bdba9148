import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { endGroups } from '../../src/process/kill-groups.ts'
import { startPipeline } from '../../src/process/pipeline.ts'
import { createSampler, type ToolSample } from '../../src/process/proc-sample.ts'
import { bootId, readProcStat } from '../../src/process/proc-stat.ts'
import { scratch } from '../support/scratch.ts'

const UNKNOWN = { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null }

test('counts the CPU and the I/O of a tool and its children once, and never goes back', async () => {
  const dir = scratch()
  writeFileSync(join(dir, 'data'), Buffer.alloc(20_000_000))
  const burn = 'const end = Date.now() + 400; while (Date.now() < end);'
  const script = `cat data data >/dev/null; "$0" -e "${burn}"; dd if=data of=copy bs=1M 2>/dev/null; exec sleep 0.3`
  const reader = ['-c', 'cat data >/dev/null; exec sleep 1']
  const { tools } = await startPipeline({
    stages: [
      { name: 'burn', file: 'sh', args: ['-c', script, process.execPath] },
      { name: 'read', file: 'sh', args: reader },
    ],
    stdin: 'ignore',
    cwd: dir,
    runDir: dir,
    label: 'run',
  })
  const sample = createSampler(tools)
  const samples: ToolSample[] = []
  let ended = false
  const all = Promise.all(tools.map(tool => tool.exited)).then(() => {
    ended = true
  })
  while (!ended) {
    samples.push(sample())
    await sleep(10)
  }
  await all
  const last = sample()
  expect(samples.length).toBeGreaterThan(20)
  for (const key of ['cpuSeconds', 'rcharBytes', 'readBytes', 'writeBytes'] as const) {
    const values = [...samples, last].map(each => each[key]!)
    expect(values).toEqual(values.toSorted((a, b) => a - b))
  }
  expect(last.cpuSeconds).toBeGreaterThan(0.1)
  expect(last.cpuSeconds).toBeLessThan(3)
  expect(last.rcharBytes).toBeGreaterThanOrEqual(80_000_000)
  expect(last.rcharBytes).toBeLessThan(90_000_000)
  expect(last.writeBytes).toBeGreaterThanOrEqual(20_000_000)
  expect(last.writeBytes).toBeLessThan(25_000_000)
})

test('knows nothing of a process that is gone, or is another one', async () => {
  const child = spawn('sleep', ['100'])
  const { startTicks } = readProcStat(child.pid!)!
  const other = createSampler([{ pid: child.pid!, startTicks: startTicks + 1 }])
  const sample = createSampler([{ pid: child.pid!, startTicks }])
  expect(other()).toEqual(UNKNOWN)
  expect(sample()).toMatchObject({ cpuSeconds: expect.any(Number), rcharBytes: expect.any(Number) })
  child.kill()
  await once(child, 'exit')
  expect(createSampler([{ pid: child.pid!, startTicks }])()).toEqual(UNKNOWN)
  expect(sample().cpuSeconds).not.toBeNull()
})

test("another user's process shows its CPU time but hides its I/O", async () => {
  const isRoot = process.geteuid!() === 0
  const child = spawn('sleep', ['100'])
  const pid = isRoot ? child.pid! : 1
  const sample = createSampler([{ pid, startTicks: readProcStat(pid)!.startTicks }])
  if (isRoot) process.seteuid!(65_534)
  try {
    const { cpuSeconds, ...io } = sample()
    expect(cpuSeconds).not.toBeNull()
    expect(io).toEqual({ rcharBytes: null, readBytes: null, writeBytes: null })
  } finally {
    if (isRoot) process.seteuid!(0)
    child.kill()
  }
})

test('a stopped tool uses nothing', async () => {
  const { tools } = await startPipeline({
    stages: [{ name: 'spin', file: 'sh', args: ['-c', 'while :; do :; done'] }],
    stdin: 'ignore',
    runDir: scratch(),
    label: 'run',
  })
  const sample = createSampler(tools)
  await sleep(200)
  process.kill(-tools[0]!.pgid, 'SIGSTOP')
  await sleep(50)
  const stopped = sample()
  expect(stopped.cpuSeconds).toBeGreaterThan(0)
  await sleep(200)
  expect(sample()).toEqual(stopped)
  await endGroups(tools, { graceMs: 100 })
})

test('the boot has an id', () => {
  expect(bootId()).toMatch(/^[0-9a-f-]{36}$/)
})
