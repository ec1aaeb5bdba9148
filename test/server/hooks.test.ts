import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { RestoreError } from '../../src/errors.ts'
import { restoreStatusSchema } from '../../src/server/api-schema.ts'
import { eventsBetween } from '../../src/server/hooks.ts'
import { runHook } from '../../src/server/run-hook.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { sampleState } from '../telemetry/sample-state.ts'
import { diskFull } from './fake-sessions.ts'
import { startAgent, YAML } from './served.ts'

const hooksYaml = (hooks: object) => `${YAML}hooks: ${JSON.stringify(hooks)}\n`
/** Appends what it is told, its event and its trace context as one line of JSON to the file. */
const TELL = [
  'sh',
  '-c',
  'read -r body; printf \'{"event":"%s","trace":"%s","body":%s}\\n\' "$RESTORE_AGENT_EVENT" "$TRACEPARENT" "$body" >> "$0"',
]
const env = { PATH: process.env.PATH! }

test('each event in order, with the body of /status/restore on stdin and the trace in the environment', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ra-hooks-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'told')
  const tell = [{ command: [...TELL, file] }]
  const agent = await startAgent(hooksYaml({ phase_change: tell, success: tell, failure: tell, stall: tell }))
  const lines = () =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map(line => JSON.parse(line))
      : []
  const session = await agent.start()
  await until(() => lines().length === 1)
  session.goTo('restoring_basebackup')
  await until(() => lines().length === 2)
  session.goTo('preparing_backup')
  await until(() => lines().length === 3)
  session.end()
  await until(() => lines().length === 5)
  const told = lines()
  expect(told.map(({ event, body }) => `${event} ${body.phase}`).slice(0, 3)).toEqual([
    'phase_change getting_backup_info',
    'phase_change restoring_basebackup',
    'phase_change preparing_backup',
  ])
  expect(
    told
      .slice(3)
      .map(({ event, body }) => `${event} ${body.phase}`)
      .sort(),
  ).toEqual(['phase_change completed', 'success completed'])
  for (const { body, trace } of told) {
    expect(restoreStatusSchema.parse(body)).toEqual(body)
    expect(trace).toMatch(/^00-(ab){16}-[0-9a-f]{16}-01$/)
  }
  const outcome = session.store.state.endedSpans.find(({ kind }) => kind === 'outcome')!
  expect(told.at(-1).trace).toContain(outcome.id)

  const failing = await agent.start()
  failing.end(diskFull())
  await until(() => lines().some(({ event }) => event === 'failure'))
  expect(lines().find(({ event }) => event === 'failure').body.error).toMatchObject({ code: 'disk_full' })
})

test('gets PATH and the trace of the agent’s environment, and no secret of it', async () => {
  const folder = scratch()
  const file = join(folder, 'env')
  const dump = [{ command: ['sh', '-c', 'env > "$0.tmp"; mv "$0.tmp" "$0"', file] }]
  const secrets = {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=x',
    AWS_SECRET_ACCESS_KEY: 'x',
    LD_PRELOAD: '',
    MYSQL_PWD: 'x',
  }
  const childEnv = () => ({ PATH: process.env.PATH!, LC_ALL: 'C', TRACEPARENT: `00-${'ab'.repeat(16)}-1`, ...secrets })
  const agent = await startAgent(hooksYaml({ phase_change: dump }), { childEnv })
  await agent.start()
  await until(() => existsSync(file))
  const names = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => line.split('=')[0])
  const own = ['PWD', 'OLDPWD', 'SHLVL', '_']
  expect(names.filter(name => !own.includes(name!)).sort()).toEqual([
    'LC_ALL',
    'PATH',
    'RESTORE_AGENT_EVENT',
    'TRACEPARENT',
  ])
})

test('what a hook does wrong is in the log, and the restore goes on', async () => {
  const agent = await startAgent(
    hooksYaml({
      phase_change: [
        { command: ['sh', '-c', 'echo oh no >&2; exit 3'] },
        { command: ['/nowhere/to-be-found'] },
        { command: ['sleep', '60'], timeout: '100ms' },
      ],
    }),
  )
  const session = await agent.start()
  await until(() => agent.log.filter(line => line.includes('hook')).length === 3)
  expect(agent.log.filter(line => line.includes('hook')).sort()).toEqual([
    'warning hook: phase_change /nowhere/to-be-found: cannot be started: spawn /nowhere/to-be-found ENOENT',
    'warning hook: phase_change sh: exit code 3: oh no',
    'warning hook: phase_change sleep: took longer than 0.1 s and was ended',
  ])
  session.end()
  await until(async () => (await agent.call('GET', '/status')).body.restore.status === 'succeeded')
})

test('a flood of events leaves hooks out instead of piling them up, and never waits', async () => {
  const agent = await startAgent(hooksYaml({ phase_change: [{ command: ['sleep', '60'] }] }))
  const session = await agent.start()
  const startedAtMs = performance.now()
  for (let n = 0; n < 100; n++) session.goTo(n % 2 ? 'restoring_basebackup' : 'preparing_backup')
  expect(performance.now() - startedAtMs).toBeLessThan(10_000)
  // One at the start, four run, 64 wait.
  expect(agent.log.filter(line => line.includes('dropped'))).toHaveLength(101 - 4 - 64)
  const stoppingAtMs = performance.now()
  agent.served.stop(new RestoreError('terminated', 'enough'), 'detach')
  await agent.served.ended
  expect(performance.now() - stoppingAtMs).toBeLessThan(8_000)
})

test('a hook that hears no SIGTERM is killed with its children', async () => {
  const script = 'trap "" TERM; sleep 60 & echo $!; wait; wait'
  const startedAtMs = performance.now()
  const { ended } = runHook({ command: ['sh', '-c', script], timeoutMs: 200 }, '{}', env, 200)
  const complaint = await ended
  expect(complaint).toMatch(/^took longer than 0\.2 s and was ended: \d+$/)
  expect(performance.now() - startedAtMs).toBeLessThan(3_000)
  const sleeper = Number(/\d+$/.exec(complaint!)![0])
  await until(() => !isRunning(sleeper))
})

function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

test('a hook that reads nothing and says much neither blocks nor fills memory', async () => {
  const { ended } = runHook(
    { command: ['sh', '-c', 'head -c 5000000 /dev/zero | tr "\\0" x; exit 1'], timeoutMs: 5_000 },
    'x'.repeat(1e6),
    env,
  )
  const complaint = await ended
  expect(complaint).toMatch(/^exit code 1: x+$/)
  expect(complaint!.length).toBeLessThan(600)
})

test('a hook whose child lives on has ended all the same', async () => {
  const startedAtMs = performance.now()
  const { ended } = runHook({ command: ['sh', '-c', 'sleep 30 & exit 0'], timeoutMs: 60_000 }, '{}', env)
  expect(await ended).toBe(null)
  expect(performance.now() - startedAtMs).toBeLessThan(15_000)
})

test('a hook that cannot be signalled is not waited for', async () => {
  const kill = process.kill
  onTestFinished(() => {
    process.kill = kill
  })
  process.kill = () => {
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' })
  }
  const { ended } = runHook({ command: ['sleep', '2'], timeoutMs: 50 }, '{}', env, 100)
  expect(await ended).toMatch(/^could not be ended \(pid \d+\)$/)
})

test('which events a state is worth', () => {
  const seen = { restoreId: 'restore-1', status: 'running', phase: '1/1/preparing_backup', stalled: false } as const
  const at = (changes: Parameters<typeof sampleState>[0], stalled = false) => {
    const state = sampleState({ phase: 'preparing_backup', position: 1, ...changes })
    return eventsBetween(seen, { ...state, progress: { ...state.progress, stalled } })
  }
  expect(at({})).toEqual([])
  expect(at({}, true)).toEqual(['stall'])
  expect(at({ position: 2 })).toEqual(['phase_change'])
  expect(at({ attempt: 2 })).toEqual(['phase_change'])
  expect(at({ phase: 'finalizing' })).toEqual(['phase_change'])
  expect(at({ phase: 'completed', status: 'succeeded' })).toEqual(['phase_change', 'success'])
  expect(at({ phase: 'failed', status: 'cancelled' }, true)).toEqual(['phase_change', 'failure'])
  expect(at({ restoreId: 'restore-2' })).toEqual(['phase_change'])
  expect(at({ restoreId: 'restore-2', attempt: 0 })).toEqual([])
})
