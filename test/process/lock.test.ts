import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { endGroups } from '../../src/process/kill-groups.ts'
import { acquireLock, hasOpen, lockDirectory, lockHolders } from '../../src/process/lock.ts'
import { isAlive, readProcStat } from '../../src/process/proc-stat.ts'
import type { StartedTool } from '../../src/process/start-tool.ts'
import { readExit } from '../../src/process/tool-exit.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { countDescriptors, fixture } from './fixture.ts'

/** Starts another agent that holds the lock and runs the script as a tool; resolves when the tool runs. */
async function startAgent(dir: string, script: string, before = '') {
  const input = {
    runDir: dir,
    lockPath: join(dir, 'lock'),
    stages: [{ name: 'tool', file: 'sh', args: ['-c', script] }],
  }
  const args = ['-c', `${before} exec "$@"`, 'sh', process.execPath, fixture('agent.ts'), JSON.stringify(input)]
  const agent = spawn('sh', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void agent.kill('SIGKILL'))
  const [line] = await once(agent.stdout, 'data')
  const [tool] = JSON.parse(String(line)) as StartedTool[]
  const ended = once(agent, 'exit')
  const kill = async () => {
    agent.kill('SIGKILL')
    await ended
  }
  return { agent, tool: tool!, kill }
}

test('one at a time, also within a process, and again when it is released', () => {
  const path = join(scratch(), 'lock')
  const before = countDescriptors()
  const lock = acquireLock(path)
  expect(() => acquireLock(path)).toThrow(expect.objectContaining({ code: 'locked' }))
  lock.release()
  acquireLock(path).release()
  expect(countDescriptors()).toBeLessThanOrEqual(before)
  expect(existsSync(path)).toBe(true)
})

/** The tool's shell has become its `sleep`. */
const sleeping = (path: string) => until(() => lockHolders(path).some(({ command }) => command === 'sleep'))

test('releasing it again closes nothing: its descriptor may be another file by then', () => {
  const dir = scratch()
  const lock = acquireLock(join(dir, 'lock'))
  lock.release()
  const fd = openSync(join(dir, 'other'), 'w')
  expect(fd).toBe(lock.fd)
  lock.release()
  expect(() => fstatSync(fd)).not.toThrow()
  closeSync(fd)
})

test('another agent is named, with its tool', async () => {
  const dir = scratch()
  const { agent, tool, kill } = await startAgent(dir, 'exec sleep 100')
  const path = join(dir, 'lock')
  expect(() => acquireLock(path)).toThrow(new RegExp(`pid ${agent.pid}\\b.*`))
  await sleeping(path)
  const holders = lockHolders(path)
  expect(holders.map(holder => holder.pid)).toEqual(expect.arrayContaining([agent.pid, tool.pid]))
  expect(holders.find(holder => holder.pid === tool.pid)?.startTicks).toBe(tool.startTicks)
  await kill()
  await endGroups([tool])
  acquireLock(path).release()
})

test('an agent is killed: its tool goes on to its end, the status is written, the lock is held until then', async () => {
  const dir = scratch()
  const path = join(dir, 'lock')
  const script = 'echo begun >&2; sleep 1.5; echo completed >&2; exit 7'
  const { tool, kill } = await startAgent(dir, script)
  await kill()
  expect(isAlive(tool.pid, tool.startTicks)).toBe(true)
  expect(() => acquireLock(path)).toThrow(new RegExp(`pid ${tool.pid}\\b`))
  expect(readExit(tool.statusPath)).toBeNull()
  const exit = await until(() => readExit(tool.statusPath), 'the status')
  expect(exit).toEqual({ code: 7, signal: null })
  expect(readFileSync(tool.stderrPath, 'utf8')).toBe('begun\ncompleted\n')
  await until(() => !isAlive(tool.pid, tool.startTicks), 'its end')
  const lock = acquireLock(path)
  expect(lockHolders(path)).toEqual([])
  lock.release()
})

test('tools of an agent that ignores signals do not', async () => {
  const dir = scratch()
  const { tool, kill } = await startAgent(dir, 'exec sleep 100', 'trap "" INT HUP TERM;')
  await kill()
  await sleeping(join(dir, 'lock'))
  const startedAtMs = performance.now()
  await endGroups([tool], { graceMs: 20_000 })
  expect(performance.now() - startedAtMs).toBeLessThan(5000)
  expect(readExit(tool.statusPath)).toEqual({ code: null, signal: 'SIGINT' })
})

test('a lock file that was removed or replaced is not ours', () => {
  const path = join(scratch(), 'lock')
  const lock = acquireLock(path)
  unlinkSync(path)
  const other = acquireLock(path)
  expect(other.ino).not.toBe(lock.ino)
  expect(hasOpen(process.pid, lock)).toBe(true)
  expect(hasOpen(process.pid, { ...lock, ino: lock.ino + 1_000_000n })).toBe(false)
  lock.release()
  other.release()
})

test('a file of the same name elsewhere is not the lock', async () => {
  const path = join(scratch(), 'lock')
  const elsewhere = join(scratch(), 'lock')
  writeFileSync(elsewhere, '')
  writeFileSync(path, '')
  const child = spawn('sh', ['-c', `exec sleep 100 <${elsewhere}`])
  await until(() => readProcStat(child.pid!)?.command === 'sleep', 'sleep')
  expect(lockHolders(path)).toEqual([])
  expect(lockHolders(elsewhere).map(holder => holder.pid)).toEqual([child.pid])
  child.kill()
  rmSync(elsewhere)
  expect(lockHolders(elsewhere)).toEqual([])
})

describe('a directory', () => {
  test('is held by one, also by way of a link, and again when it is released', () => {
    const dir = scratch()
    const before = countDescriptors()
    const lock = lockDirectory(dir)!
    symlinkSync(dir, join(dir, 'link'))
    for (const path of [dir, join(dir, 'link')])
      expect(() => lockDirectory(path)).toThrow(expect.objectContaining({ code: 'locked' }))
    lock.release()
    lockDirectory(join(dir, 'link'))!.release()
    expect(countDescriptors()).toBeLessThanOrEqual(before)
  })

  test('is not held by what its holder starts; its holder is named', async () => {
    const dir = scratch()
    const script = `const { lockDirectory } = await import('${new URL('../../src/process/lock.ts', import.meta.url)}')
      lockDirectory(${JSON.stringify(dir)})
      const { spawn } = await import('node:child_process')
      console.log(spawn('sleep', ['100'], { stdio: 'ignore' }).pid)
      setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const sleeper = Number(String((await once(holder.stdout, 'data'))[0]))
    onTestFinished(() => void process.kill(sleeper, 'SIGKILL'))
    symlinkSync(dir, `${dir}.link`)
    onTestFinished(() => rmSync(`${dir}.link`))
    expect(() => lockDirectory(`${dir}.link`)).toThrow(new RegExp(`held by restore-agent \\(pid ${holder.pid}\\)$`))
    const ended = once(holder, 'exit')
    holder.kill('SIGKILL')
    await ended
    expect(isAlive(sleeper, readProcStat(sleeper)!.startTicks)).toBe(true)
    lockDirectory(dir)!.release()
  })

  test('that cannot be locked is nobody’s', () => {
    const dir = scratch()
    const before = countDescriptors()
    expect(lockDirectory(join(dir, 'none'))).toBeNull()
    writeFileSync(join(dir, 'file'), '')
    expect(lockDirectory(join(dir, 'file'))).toBeNull()
    const path = process.env.PATH
    try {
      // As flock(1) ends where the file system knows no locks.
      writeFileSync(join(dir, 'flock'), '#!/bin/sh\necho "flock: 3: Bad file descriptor" >&2\nexit 65\n', {
        mode: 0o755,
      })
      process.env.PATH = `${dir}:${path}`
      expect(lockDirectory(dir)).toBeNull()
      process.env.PATH = join(dir, 'none')
      expect(lockDirectory(dir)).toBeNull()
    } finally {
      process.env.PATH = path
    }
    expect(countDescriptors()).toBeLessThanOrEqual(before)
  })
})

test('no folder, no flock: errors that say so', () => {
  expect(() => acquireLock(join(scratch(), 'none', 'lock'))).toThrow(expect.objectContaining({ name: 'RestoreError' }))
  const path = process.env.PATH
  try {
    process.env.PATH = scratch()
    expect(() => acquireLock(join(scratch(), 'lock'))).toThrow(expect.objectContaining({ code: 'tool_missing' }))
  } finally {
    process.env.PATH = path
  }
})
