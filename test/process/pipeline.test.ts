import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { type PipelineOptions, type Stage, startPipeline } from '../../src/process/pipeline.ts'
import { filePosition, isAlive, listPids, readProcStat } from '../../src/process/proc-stat.ts'
import { readExit } from '../../src/process/tool-exit.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { countDescriptors } from './fixture.ts'

const sh = (script: string, name = 'sh'): Stage => ({ name, file: 'sh', args: ['-c', script] })
const sha = (data: Buffer) => createHash('sha256').update(data).digest('hex')

/** Runs to the end; `output` is what the last stage wrote. */
async function run(dir: string, options: Partial<PipelineOptions> & Pick<PipelineOptions, 'stages'>, input?: Buffer) {
  const stdoutFd = openSync(join(dir, 'out'), 'w')
  const { tools, stdin } = await startPipeline({ stdin: 'ignore', runDir: dir, label: 'run', stdoutFd, ...options })
  closeSync(stdoutFd)
  const pumped =
    stdin && input
      ? pipeline(Readable.from(inPieces(input)), stdin).then(
          () => null,
          error => error,
        )
      : null
  const exits = await Promise.all(tools.map(tool => tool.exited))
  return { tools, exits, pumpError: await pumped, output: readFileSync(join(dir, 'out'), 'utf8') }
}

/** Pieces of odd sizes, from 1 byte to some 100 KB. */
function* inPieces(data: Buffer) {
  for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7 + 3) % 130_003)
    yield data.subarray(at, at + size)
}

describe('joins', () => {
  const late = sh('sleep 0.05; exec sha256sum', 'late')
  const cat: Stage = { name: 'cat', file: 'cat', args: [] }
  const gzip: Stage = { name: 'gzip', file: 'gzip', args: ['-1c'] }
  const gunzip: Stage = { name: 'gunzip', file: 'gzip', args: ['-dc'] }
  const ok = { code: 0, signal: null }

  for (const size of [0, 1, 100_000, 30_000_000]) {
    for (const [count, stages] of [[late], [cat, late], [gzip, gunzip, late]].entries()) {
      test(`${size} bytes through ${count + 1} stages, from a file and from us`, async () => {
        const dir = scratch()
        const data = randomBytes(size)
        writeFileSync(join(dir, 'in'), data)
        const fd = openSync(join(dir, 'in'), 'r')
        const fromFile = await run(dir, { stages, stdin: fd })
        expect(fromFile.exits).toEqual(stages.map(() => ok))
        expect(fromFile.output).toContain(sha(data))
        expect(filePosition(fd)).toBe(size)
        closeSync(fd)

        const fromUs = await run(dir, { stages, stdin: 'pipe' }, data)
        expect(fromUs.pumpError).toBeNull()
        expect(fromUs.exits).toEqual(stages.map(() => ok))
        expect(fromUs.output).toContain(sha(data))
      })
    }
  }

  test('the tools see the environment, the directory and their arguments untouched', async () => {
    const dir = scratch()
    const args = ['-c', 'pwd; printf "%s|" "$ONE" "$TWO" "$@"', 'name', 'a b', '$HOME', '', '"; exit 9', '*']
    const env = { ONE: '1', TWO: '1' }
    const { output } = await run(dir, { stages: [{ name: 's', file: 'sh', args, env: { TWO: '2' } }], cwd: dir, env })
    expect(output).toBe(`${dir}\n1|2|a b|$HOME||"; exit 9|*|`)
  })

  test('the tools speak English, whoever asks for another language', async () => {
    const env = { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' }
    const { output } = await run(scratch(), { stages: [sh('echo "$LC_ALL|$LANGUAGE"')], env })
    expect(output).toBe('C|\n')
  })

  test("of the agent's environment the tools get what they need, and no secret", async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
    vi.stubEnv('MYSQL_HOME', '/nowhere')
    vi.stubEnv('TZ', 'UTC')
    const { output } = await run(scratch(), { stages: [sh('env')], env: { TRACEPARENT: '00-1-2-00' } })
    vi.unstubAllEnvs()
    expect(output).not.toMatch(/AWS_SECRET|MYSQL_HOME/)
    expect(output).toMatch(/^TZ=UTC$/m)
    expect(output).toMatch(/^PATH=/m)
    expect(output).toMatch(/^TRACEPARENT=00-1-2-00$/m)
  })

  test("status and stderr files are for the agent's user alone, whatever the umask; the tool keeps it", async () => {
    const dir = scratch()
    const before = process.umask(0)
    try {
      await run(dir, { stages: [sh(`umask; echo x > ${dir}/made`)] })
    } finally {
      process.umask(before)
    }
    for (const name of ['run-1-sh.status', 'run-1-sh.stderr'])
      expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
    expect(statSync(join(dir, 'made')).mode & 0o777).toBe(0o666)
  })

  test('the soft limit on open files is raised to the hard one', async () => {
    const { output } = await run(scratch(), { stages: [sh('ulimit -S -n; ulimit -H -n')] })
    const [soft, hard] = output.trim().split('\n')
    expect(soft).toBe(hard)
  })

  test('leaves no descriptor open in 100 runs', async () => {
    const dir = scratch()
    const once = (stdin: 'pipe' | 'ignore') =>
      run(dir, { stages: [cat, sh('cat >/dev/null')], stdin }, Buffer.from('x'))
    await once('pipe')
    const before = countDescriptors()
    for (let i = 0; i < 50; i++) await Promise.all([once('pipe'), run(scratch(), { stages: [sh('exit 3')] })])
    expect(countDescriptors()).toBeLessThanOrEqual(before)
  }, 60_000)
})

describe('exits', () => {
  test('every stage has its own, also in its status file', async () => {
    const dir = scratch()
    const { tools, exits } = await run(dir, {
      stages: [sh('exit 3', 'a'), sh('kill -SEGV $$', 'b'), sh('exit 0', 'c')],
    })
    const expected = [
      { code: 3, signal: null },
      { code: null, signal: 'SIGSEGV' },
      { code: 0, signal: null },
    ]
    expect(exits).toEqual(expected)
    expect(tools.map(tool => readExit(tool.statusPath))).toEqual(expected)
    expect(tools.map(tool => tool.id)).toEqual(['run-1-a', 'run-2-b', 'run-3-c'])
    expect(readdirSync(dir).filter(file => file.endsWith('.tmp'))).toEqual([])
  })

  test('a producer whose consumer is killed gets SIGPIPE', async () => {
    const { exits } = await run(scratch(), { stages: [sh('exec cat /dev/zero', 'zero'), sh('kill -KILL $$')] })
    expect(exits).toEqual([
      { code: null, signal: 'SIGPIPE' },
      { code: null, signal: 'SIGKILL' },
    ])
  })

  test('a consumer whose producer is killed sees the end', async () => {
    const { exits, output } = await run(scratch(), { stages: [sh('printf abc; kill -KILL $$'), sh('cat', 'cat')] })
    expect(exits).toEqual([
      { code: null, signal: 'SIGKILL' },
      { code: 0, signal: null },
    ])
    expect(output).toBe('abc')
  })

  test('stderr goes to a file of each tool, not mixed with an earlier run', async () => {
    const dir = scratch()
    const stages = [sh('echo one >&2', 'a'), sh('echo two >&2; sh -c "echo three >&2"', 'b')]
    await run(dir, { stages })
    const { tools } = await run(dir, { stages })
    expect(tools.map(tool => readFileSync(tool.stderrPath, 'utf8'))).toEqual(['one\n', 'two\nthree\n'])
    expect(tools.map(tool => statSync(tool.stderrPath).mode & 0o777)).toEqual([0o600, 0o600])
  })

  test('a wrapper that is killed is told from its tool', async () => {
    const { tools } = await startPipeline({
      stages: [sh('sleep 100')],
      stdin: 'ignore',
      runDir: scratch(),
      label: 'run',
    })
    process.kill(-tools[0]!.pgid, 'SIGKILL')
    expect(await tools[0]!.exited).toEqual({ code: null, signal: 'SIGKILL' })
    expect(readExit(tools[0]!.statusPath)).toBeNull()
  })
})

describe('failing to start', () => {
  const marker = 'restore-agent-test-never-left-running'
  const sleeper = { name: 'sleeper', file: 'sh', args: ['-c', `: ${marker}; sleep 100; :`] }
  const sleepers = () => listPids().filter(pid => readCommandLine(pid).includes(marker))

  test('a missing program: nothing is started, nothing is written', async () => {
    const dir = scratch()
    const missing = { name: 'x', file: 'no-such-program', args: [] }
    const started = startPipeline({ stages: [sleeper, missing], stdin: 'ignore', runDir: dir, label: 'run' })
    await expect(started).rejects.toMatchObject({
      code: 'tool_missing',
      message: expect.stringContaining('no-such-program'),
    })
    expect(readdirSync(dir)).toEqual([])
    expect(sleepers()).toEqual([])
  })

  test('a later stage that cannot be started ends the earlier ones', async () => {
    const dir = scratch()
    const tooLong = { name: 'long', file: 'cat', args: ['x'.repeat(3_000_000)] }
    const before = countDescriptors()
    const started = startPipeline({ stages: [sleeper, tooLong], stdin: 'pipe', runDir: dir, label: 'run' })
    await expect(started).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('E2BIG') })
    expect(sleepers()).toEqual([])
    expect(countDescriptors()).toBeLessThanOrEqual(before)
  })

  test('a directory that is not there', async () => {
    const started = startPipeline({
      stages: [sleeper],
      stdin: 'ignore',
      runDir: scratch(),
      label: 'run',
      cwd: '/no/such',
    })
    await expect(started).rejects.toMatchObject({ name: 'RestoreError', message: expect.stringContaining('/no/such') })
  })
})

describe('bytes from us', () => {
  test('a tool that ends early rejects the pump with EPIPE and nothing else happens', async () => {
    const { exits, pumpError } = await run(scratch(), { stages: [sh('exit 1')], stdin: 'pipe' }, randomBytes(5_000_000))
    expect(exits).toEqual([{ code: 1, signal: null }])
    expect(pumpError).toMatchObject({ code: 'EPIPE' })
  })

  test('a tool that ends while nothing is written does no harm', async () => {
    const { tools, stdin } = await startPipeline({
      stages: [sh('exit 1')],
      stdin: 'pipe',
      runDir: scratch(),
      label: 'run',
    })
    await tools[0]!.exited
    stdin!.write('into the void')
    await until(() => stdin!.destroyed, 'the stream to close')
    await expect(pipeline(Readable.from(['more']), stdin!)).rejects.toThrow()
  })

  test('slow tools hold neither the event loop nor the threads of libuv', async () => {
    const delay = monitorEventLoopDelay({ resolution: 5 })
    const data = randomBytes(4_000_000)
    delay.enable()
    const runs = Array.from({ length: 6 }, () =>
      run(scratch(), { stages: [sh('sleep 1.5; exec sha256sum')], stdin: 'pipe' }, data),
    )
    await sleep(500) // all pipes are full now
    delay.reset()
    const looks = Promise.all(Array.from({ length: 8 }, () => stat('/'))).then(() => 'looks')
    expect(await Promise.race([looks, Promise.race(runs).then(() => 'tools')])).toBe('looks')
    await sleep(300)
    expect(delay.percentile(50) / 1e6).toBeLessThan(100)
    for (const { output, exits } of await Promise.all(runs)) {
      expect(exits).toEqual([{ code: 0, signal: null }])
      expect(output).toContain(sha(data))
    }
    delay.disable()
  })

  test('destroying the stream ends the input although the tool was not reading', async () => {
    const { tools, stdin } = await startPipeline({
      stages: [sh('sleep 0.5; exec cat')],
      stdin: 'pipe',
      runDir: scratch(),
      label: 'run',
    })
    stdin!.write(Buffer.alloc(4_000_000))
    stdin!.destroy()
    expect(await tools[0]!.exited).toEqual({ code: 0, signal: null })
  })
})

test('a started tool is identified by its start time', async () => {
  const { tools } = await startPipeline({
    stages: [sh('sleep 0.3')],
    stdin: 'ignore',
    runDir: scratch(),
    label: 'run',
  })
  const { pid, pgid, startTicks, exited } = tools[0]!
  expect(isAlive(pid, startTicks)).toBe(true)
  expect(isAlive(pid, startTicks + 1)).toBe(false)
  expect(readProcStat(pid)?.pgid).toBe(pgid)
  await exited
  expect(isAlive(pid, startTicks)).toBe(false)
})

function readCommandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
