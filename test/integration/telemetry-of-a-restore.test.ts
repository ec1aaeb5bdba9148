import { createReadStream, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { PHASES } from '../../src/phases.ts'
import { until } from '../support/until.ts'
import {
  attributesOf,
  type Metric,
  type Misbehaviour,
  numberOf,
  type OtlpReceiver,
  pointsOf,
  refusingUrl,
  type Span,
  startOtlpReceiver,
} from '../telemetry/otlp-receiver.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectFailure, expectSuccess, stoppedTool, stoppingTool, workspace } from './workspace.ts'

/** What a real restore sends to a real OTLP backend, and what a backend that misbehaves does to it: nothing. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const to = (url: string) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  OTEL_METRIC_EXPORT_INTERVAL: '1000',
  OTEL_METRIC_EXPORT_TIMEOUT: '1000',
})

async function receiver(): Promise<OtlpReceiver> {
  const started = await startOtlpReceiver()
  onTestFinished(() => started.close())
  return started
}

/** Value of the point of a metric that has these attributes; undefined where there is none. */
function metricOf(metrics: readonly Metric[], name: string, wanted: Record<string, string> = {}): number | undefined {
  const points = metrics.filter(metric => metric.name === name).flatMap(pointsOf)
  const point = points.find(candidate => {
    const attributes = attributesOf(candidate)
    return Object.entries(wanted).every(([key, value]) => attributes[key] === value)
  })
  return point && numberOf(point)
}

const named = (spans: readonly Span[], name: string) => spans.filter(span => span.name === name)

test('one trace that can be opened early, whose parents are all there, and metrics that end in succeeded', async () => {
  const at = workspace()
  const backend = await receiver()
  // Stopped in prepare, so that there is time for the gauges of it to be seen.
  const agent = at.start([backup.full.zst], {
    env: to(backend.url),
    args: ['--tool-path', stoppingTool(at, '--prepare'), '--start-check', '--owner', 'nobody:nogroup'],
  })
  const tool = await stoppedTool(at)
  await until(() => named(backend.spans(), 'restore').length === 1)
  const preparing = { 'restore.phase': 'preparing_backup' }
  await until(() => backend.exports().some(metrics => metricOf(metrics, 'restore.phase.status', preparing) === 1))
  const [during] = backend.exports().filter(metrics => metricOf(metrics, 'restore.phase.status', preparing) === 1)
  expect(metricOf(during!, 'restore.status', { 'restore.state': 'running' })).toBe(1)
  expect(metricOf(during!, 'restore.prepare.redo.target')).toBe(at.state()!.redo.targetLsn)
  expect(metricOf(during!, 'restore.heartbeat.time')).toBeGreaterThan(Date.now() / 1000 - 60)
  expect(metricOf(during!, 'restore.chain.length')).toBe(1)
  for (const phase of PHASES)
    expect(metricOf(during!, 'restore.phase.status', { 'restore.phase': phase })).toBe(
      phase === 'preparing_backup' ? 1 : 0,
    )
  process.kill(tool, 'SIGCONT')
  expectSuccess(await agent.ended)

  const spans = backend.spans()
  const state = at.state()!
  expect(new Set(spans.map(span => span.traceId))).toEqual(new Set([state.trace.traceId]))
  expect(new Set(spans.map(span => span.spanId)).size).toBe(spans.length)
  const ids = new Set(spans.map(span => span.spanId))
  const orphans = spans.filter(span => span.parentSpanId && !ids.has(span.parentSpanId))
  expect(orphans.map(span => span.name)).toEqual([])
  expect(spans.filter(span => !span.parentSpanId).map(span => span.name)).toEqual(['restore'])
  const names = spans.map(span => span.name)
  expect(names).toEqual(
    expect.arrayContaining([
      ...['attempt', 'getting_backup_info', 'restoring_basebackup', 'preparing_backup', 'finalizing'],
      ...['redo_apply', 'move_back', 'verify', 'start_check'],
      ...['zstd', 'mbstream', 'mariadb-backup', 'mariadbd'],
    ]),
  )
  for (const span of spans) {
    expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano))
    expect(span.status.code, span.name).not.toBe(2)
  }
  const parentNameOf = (name: string) => {
    const [span] = named(spans, name)
    return spans.find(candidate => candidate.spanId === span!.parentSpanId)?.name
  }
  expect(parentNameOf('attempt')).toBe('restore')
  expect(parentNameOf('preparing_backup')).toBe('attempt')
  expect(parentNameOf('redo_apply')).toBe('preparing_backup')
  expect(parentNameOf('mbstream')).toBe('restoring_basebackup')

  const last = backend.exports().at(-1)!
  for (const wanted of ['running', 'succeeded', 'failed', 'cancelled'])
    expect(metricOf(last, 'restore.status', { 'restore.state': wanted })).toBe(wanted === 'succeeded' ? 1 : 0)
  expect(metricOf(last, 'restore.attempts')).toBe(1)
  expect(backend.logs().map(record => record.eventName)).toEqual(
    expect.arrayContaining(['restore.started', 'restore.phase.started', 'restore.phase.ended', 'restore.completed']),
  )
})

test('a failure is in the trace, the metrics and the log', async () => {
  const at = workspace()
  const backend = await receiver()
  const cut = join(at.dir, 'cut')
  writeFileSync(cut, readFileSync(backup.full.zst).subarray(0, 5_000_000))
  expectFailure(at, await at.restore([cut], { env: to(backend.url) }), 'source_truncated', { kept: ['cut'] })
  const [outcome] = named(backend.spans(), 'restore outcome')
  expect(outcome!.status.code).toBe(2)
  expect(attributesOf(outcome!)).toMatchObject({ 'error.type': 'source_truncated', result: 'failed' })
  const last = backend.exports().at(-1)!
  expect(metricOf(last, 'restore.status', { 'restore.state': 'failed' })).toBe(1)
  expect(metricOf(last, 'restore.errors', { 'error.type': 'source_truncated' })).toBe(1)
  expect(backend.logs().find(record => record.eventName === 'restore.failed')).toBeDefined()
})

test('Ctrl-C ends every span and says cancelled', async () => {
  const at = workspace()
  const backend = await receiver()
  const agent = at.start([backup.full.zst], {
    env: to(backend.url),
    args: ['--tool-path', stoppingTool(at, '--prepare')],
  })
  const tool = await stoppedTool(at)
  process.kill(agent.pid, 'SIGINT')
  await sleep(200)
  process.kill(tool, 'SIGCONT')
  expectFailure(at, await agent.ended, 'cancelled', { kept: ['mariadb-backup'] })
  const spans = backend.spans()
  const ids = new Set(spans.map(span => span.spanId))
  expect(spans.filter(span => span.parentSpanId && !ids.has(span.parentSpanId))).toEqual([])
  expect(spans.map(span => span.name)).toEqual(expect.arrayContaining(['restore', 'attempt', 'preparing_backup']))
  expect(metricOf(backend.exports().at(-1)!, 'restore.status', { 'restore.state': 'cancelled' })).toBe(1)
})

describe('trace context', () => {
  const CALLER = { trace: '0af7651916cd43dd8448eb211c80319c', span: 'b7ad6b7169203331' }

  /** A tool that writes its environment down before it does its work. */
  function tellingTool(dir: string): string {
    const path = join(dir, 'mariadb-backup')
    writeFileSync(path, `#!/bin/sh\nenv >> "${dir}/env"\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
    return path
  }

  test('comes in by TRACEPARENT, and goes out to each tool with that tool’s own span', async () => {
    const at = workspace()
    const backend = await receiver()
    const env = { ...to(backend.url), TRACEPARENT: `00-${CALLER.trace}-${CALLER.span}-01`, TRACESTATE: 'vendor=1' }
    expectSuccess(await at.restore([backup.full.zst], { env, args: ['--tool-path', tellingTool(at.dir)] }))
    const [root] = named(backend.spans(), 'restore')
    expect(root).toMatchObject({ traceId: CALLER.trace, parentSpanId: CALLER.span })
    const told = readFileSync(join(at.dir, 'env'), 'utf8')
      .split('\n')
      .filter(line => line.startsWith('TRACEPARENT='))
    const tools = named(backend.spans(), 'mariadb-backup').map(
      span => `TRACEPARENT=00-${CALLER.trace}-${span.spanId}-01`,
    )
    expect(tools.length).toBe(2)
    expect(told).toEqual(expect.arrayContaining(tools))
    expect(told).not.toContain(`TRACEPARENT=${env.TRACEPARENT}`)
  })

  test('an unsampled caller is linked, not joined', async () => {
    const at = workspace()
    const backend = await receiver()
    const env = { ...to(backend.url), TRACEPARENT: `00-${CALLER.trace}-${CALLER.span}-00` }
    expectSuccess(await at.restore([backup.full.prepared], { env }))
    const [root] = named(backend.spans(), 'restore')
    expect(root!.traceId).not.toBe(CALLER.trace)
    expect(root!.links).toMatchObject([{ traceId: CALLER.trace, spanId: CALLER.span }])
  })
})

describe('a backend that misbehaves changes neither the result nor, by much, the time', () => {
  /** What the end waits for a backend at most, and what timers are late. */
  const LONGEST_END_MS = 3200
  /** Loading the SDK comes on top; it is part of start-up, which is bounded elsewhere. */
  const MOST_MS = LONGEST_END_MS + 1000

  const restore = async (env: Record<string, string>) => {
    const at = workspace()
    const ended = await at.restore([backup.full.prepared], { env })
    expect(ended).toMatchObject({ code: 0, signal: null })
    const state = at.state()!
    expect(state).toMatchObject({ status: 'succeeded' })
    return { elapsedMs: ended.elapsedMs, endMs: Date.now() - state.updatedAtMs }
  }

  test.each<['no listener' | Misbehaviour]>([
    ['no listener'],
    ['refuse'],
    ['hang'],
    ['status_500'],
    ['garbage_body'],
    ['garbage_http'],
  ])('%s', async how => {
    const backend = await receiver()
    if (how !== 'no listener') backend.misbehave(how)
    const url = how === 'no listener' ? await refusingUrl() : backend.url
    // In pairs, because the machine may be busier now than it was before; one that was not disturbed tells.
    const pairs: { moreMs: number; moreEndMs: number }[] = []
    const isFine = ({ moreMs, moreEndMs }: (typeof pairs)[number]) => moreMs < MOST_MS && moreEndMs < LONGEST_END_MS
    while (pairs.length < 3 && !pairs.some(isFine)) {
      const without = await restore({})
      const having = await restore(to(url))
      pairs.push({ moreMs: having.elapsedMs - without.elapsedMs, moreEndMs: having.endMs - without.endMs })
    }
    expect(pairs.filter(isFine), JSON.stringify(pairs)).toHaveLength(1)
  })

  test('a failure keeps its exit code too', async () => {
    const at = workspace()
    const backend = await receiver()
    backend.misbehave('hang')
    const ended = await at.restore([join(at.dir, 'none')], { env: to(backend.url) })
    expectFailure(at, ended, 'source_missing')
    expect(ended.code).toBe(ERRORS.source_missing.exit)
  })
})

test('the key is nowhere: not in a command line, the state, the terminal or what was sent', async () => {
  const at = workspace()
  const backend = await receiver()
  const seen = new Set<string>()
  let sampling = true
  const sampler = (async () => {
    for (; sampling; await sleep(5))
      for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name)))
        try {
          seen.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' '))
        } catch {
          // ended meanwhile
        }
  })()
  const args = ['--decrypt-key-file', backup.keyFile]
  const fromFile = await at.restore([backup.full.gpg], { env: to(backend.url), args })
  const other = workspace()
  const fromPipe = await other.restore(['-'], {
    env: to(backend.url),
    args,
    stdin: createReadStream(backup.full.openssl),
  })
  sampling = false
  await sampler
  expectSuccess(fromFile)
  expectSuccess(fromPipe)
  expect([...seen].some(command => /^gpg .*--passphrase-file/.test(command))).toBe(true)
  const everything = [
    ...seen,
    ...backend.requests.map(({ body }) => body),
    ...[fromFile, fromPipe].flatMap(({ stdout, stderr }) => [stdout, stderr]),
    ...[at, other].map(({ stateDir }) => readFileSync(join(stateDir, 'state.json'), 'utf8')),
  ]
  expect(everything.filter(text => text.includes(backup.secret))).toEqual([])
})
