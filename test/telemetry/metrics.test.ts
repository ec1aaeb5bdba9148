import { describe, expect, test } from 'vitest'
import { ERROR_CODES } from '../../src/errors.ts'
import { PHASES, RESTORE_STATUSES, STEPS } from '../../src/phases.ts'
import type { Plan } from '../../src/restore/plan/plan.ts'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { sampleTransfer } from '../support/samples.ts'
import { attributesOf, type Metric, numberOf, type OtlpReceiver, pointsOf, refusingUrl } from './otlp-receiver.ts'
import { endedSpan, openSpan, samplePlan, sampleProgress, sampleState, startedState, T0 } from './sample-state.ts'
import { startWithReceiver } from './start.ts'

const TICK = { type: 'tick', atMs: T0 } as const

/** Everything known that can be known while a backup is extracted or prepared. */
const full = (changes: Partial<RestoreState> = {}): RestoreState =>
  sampleState({
    phase: 'preparing_backup',
    step: 'redo_apply',
    plan: samplePlan({ deadlineMs: T0 + 7_200_000 }),
    position: 2,
    chainLength: 2,
    progress: sampleProgress({
      phasePercent: 42.9,
      restorePercent: 12.2,
      scanPercent: 77,
      eta: { atMs: T0 + 60_500, earliestMs: T0 + 50_000, latestMs: T0 + 90_000 },
    }),
    source: { readBytes: 1000, totalBytes: 4000 },
    redo: { scannedLsn: 2 ** 53 - 1, appliedLsn: 500, targetLsn: 900 },
    rollbackRows: 17,
    counters: {
      lines: { preparing_backup: 30 },
      linesDropped: { preparing_backup: 3 },
      ioReadBytes: { restoring_basebackup: 11, preparing_backup: 12 },
      ioWriteBytes: { preparing_backup: 13 },
      cpuSeconds: { preparing_backup: 1.25 },
      sourceRetries: { 'full.xb.zst': { reset: 3, '503': 1 } },
      transactions: 0,
      attempts: 2,
    },
    ...changes,
  })

/** The points of the newest export that holds metrics, by name. */
const newest = (receiver: OtlpReceiver): Map<string, Metric> =>
  new Map(
    receiver
      .exports()
      .at(-1)
      ?.map(metric => [metric.name, metric]),
  )

const read = (metrics: Map<string, Metric>, name: string) =>
  pointsOf(metrics.get(name)).map(point => {
    const { 'restore.id': id, ...attributes } = attributesOf(point)
    return { id, attributes, value: numberOf(point), type: point.asInt === undefined ? 'double' : 'int' }
  })

async function exported(state: RestoreState): Promise<Map<string, Metric>> {
  const { telemetry, receiver } = await startWithReceiver()
  telemetry.observe(state, TICK)
  await telemetry.shutdown()
  return newest(receiver)
}

describe('every metric of the contract', () => {
  const P = { 'restore.phase': 'preparing_backup' }
  const B = { 'restore.backup': 'inc1.xb.zst' }
  const s = T0 / 1000
  const GAUGES: [name: string, unit: string, type: string, value: number, attributes: object][] = [
    ['restore.phase.progress', '%', 'int', 42, P],
    ['restore.progress', '%', 'int', 12, {}],
    ['restore.prepare.scan.progress', '%', 'int', 77, P],
    ['restore.last_progress.time', 's', 'double', s + 1.5, P],
    ['restore.activity.time', 's', 'double', s + 2, P],
    ['restore.stall.threshold', 's', 'double', 600, P],
    ['restore.eta.time', 's', 'double', s + 60.5, {}],
    ['restore.eta.earliest.time', 's', 'double', s + 50, {}],
    ['restore.eta.latest.time', 's', 'double', s + 90, {}],
    ['restore.deadline.time', 's', 'double', s + 7200, {}],
    ['restore.prepare.redo.scanned', 'By', 'int', 2 ** 53 - 1, B],
    ['restore.prepare.redo.applied', 'By', 'int', 500, B],
    ['restore.prepare.redo.target', 'By', 'int', 900, B],
    ['restore.prepare.rollback.rows', '{row}', 'int', 17, B],
    ['restore.chain.position', '{backup}', 'int', 2, {}],
    ['restore.chain.length', '{backup}', 'int', 2, {}],
  ]
  test('gauges: name, unit, type, value, attributes', async () => {
    const metrics = await exported(full())
    for (const [name, unit, type, value, attributes] of GAUGES) {
      expect(metrics.get(name)?.gauge, name).toBeDefined()
      expect(metrics.get(name)?.unit, name).toBe(unit)
      expect(read(metrics, name), name).toEqual([{ id: 'restore-1', attributes, value, type }])
    }
    const heartbeat = read(metrics, 'restore.heartbeat.time')
    expect(metrics.get('restore.heartbeat.time')?.unit).toBe('s')
    expect(Math.abs(heartbeat[0]!.value - Date.now() / 1000)).toBeLessThan(5)
    expect(metrics.has('restore.source.read')).toBe(false)
  })

  test('the source while it is extracted, and no gauge of prepare then', async () => {
    const metrics = await exported(full({ phase: 'restoring_basebackup', step: null, position: 1 }))
    const attributes = { 'restore.backup': 'full.xb.zst' }
    expect(read(metrics, 'restore.source.read')).toEqual([{ id: 'restore-1', attributes, value: 1000, type: 'int' }])
    expect(read(metrics, 'restore.source.size')).toEqual([{ id: 'restore-1', attributes, value: 4000, type: 'int' }])
    expect(metrics.get('restore.source.read')?.unit).toBe('By')
    expect([...metrics.keys()].filter(name => name.startsWith('restore.prepare'))).toEqual([])
  })

  test('the windows of a transfer while it runs, and its retries for good', async () => {
    const transfers = { 1: sampleTransfer({ active: 5, waiting: 3 }) }
    const metrics = await exported(full({ phase: 'restoring_basebackup', step: null, position: 1, transfers }))
    const backup = { 'restore.backup': 'full.xb.zst' }
    expect(metrics.get('restore.source.windows')?.unit).toBe('{request}')
    expect(read(metrics, 'restore.source.windows')).toEqual([
      { id: 'restore-1', attributes: { ...backup, 'restore.window.state': 'active' }, value: 5, type: 'int' },
      { id: 'restore-1', attributes: { ...backup, 'restore.window.state': 'waiting' }, value: 3, type: 'int' },
    ])
    const later = await exported(full({ transfers }))
    expect(later.has('restore.source.windows')).toBe(false)
    expect(later.get('restore.source.retries')).toMatchObject({ unit: '{retry}', sum: { isMonotonic: true } })
    expect(read(later, 'restore.source.retries')).toEqual([
      { id: 'restore-1', attributes: { ...backup, 'error.type': '503' }, value: 1, type: 'int' },
      { id: 'restore-1', attributes: { ...backup, 'error.type': 'reset' }, value: 3, type: 'int' },
    ])
  })

  test('the source of an element fetched ahead, under its own name, as long as its phase is open', async () => {
    const bringing = openSpan(9, 'phase', 3, { attributes: { 'restore.chain.position': 2 } })
    const prefetched = { position: 2, readBytes: 30, totalBytes: 40 }
    const state = full({ position: 1, spans: [bringing], prefetched })
    const points = (metrics: Map<string, Metric>) =>
      ['read', 'size'].map(name =>
        read(metrics, `restore.source.${name}`).map(({ attributes, value }) => [attributes['restore.backup'], value]),
      )
    expect(points(await exported(state))).toEqual([[['inc1.xb.zst', 30]], [['inc1.xb.zst', 40]]])
    expect(points(await exported({ ...state, spans: [] }))).toEqual([[], []])
  })

  test('counters: monotonic, cumulative, from 0', async () => {
    const metrics = await exported(full())
    const io = (phase: string, direction: string, value: number) => ({
      id: 'restore-1',
      attributes: { 'restore.phase': phase, 'disk.io.direction': direction },
      value,
      type: 'int',
    })
    const one = (value: number, type: string, attributes: object) => [{ id: 'restore-1', attributes, value, type }]
    expect(read(metrics, 'restore.tool.lines')).toEqual(one(30, 'int', P))
    expect(read(metrics, 'restore.tool.lines.dropped')).toEqual(one(3, 'int', P))
    expect(read(metrics, 'restore.tool.cpu')).toEqual(one(1.25, 'double', P))
    expect(read(metrics, 'restore.attempts')).toEqual(one(2, 'int', {}))
    expect(read(metrics, 'restore.tool.io')).toEqual([
      io('restoring_basebackup', 'read', 11),
      io('preparing_backup', 'read', 12),
      io('preparing_backup', 'write', 13),
    ])
    const units = ['lines', 'lines.dropped', 'cpu', 'io'].map(name => metrics.get(`restore.tool.${name}`)?.unit)
    expect(units).toEqual(['{line}', '{line}', 's', 'By'])
    expect(metrics.get('restore.attempts')?.unit).toBe('{attempt}')
    for (const name of ['restore.tool.lines', 'restore.tool.io', 'restore.attempts', 'restore.errors'])
      expect(metrics.get(name)?.sum).toMatchObject({ isMonotonic: true, aggregationTemporality: 2 })
  })

  test('status series: all of them at each export, one of them 1', async () => {
    const metrics = await exported(full())
    const phases = read(metrics, 'restore.phase.status')
    expect(phases.map(({ attributes }) => attributes['restore.phase'])).toEqual([...PHASES])
    expect(phases.filter(({ value }) => value !== 0)).toMatchObject([{ attributes: P, value: 1, type: 'int' }])
    const states = read(metrics, 'restore.status')
    expect(states.map(({ attributes }) => attributes['restore.state'])).toEqual([...RESTORE_STATUSES])
    expect(states.map(({ value }) => value)).toEqual([1, 0, 0, 0])
    const steps = read(metrics, 'restore.step.status')
    const names = [...STEPS.preparing_backup, ...STEPS.finalizing]
    expect(steps.map(({ attributes }) => attributes['restore.step'])).toEqual(names)
    expect(steps.filter(({ value }) => value === 1)).toMatchObject([
      { attributes: { 'restore.step': 'redo_apply', ...P } },
    ])
    const units = ['phase', 'step'].map(name => metrics.get(`restore.${name}.status`)?.unit)
    expect([...units, metrics.get('restore.status')?.unit]).toEqual(['{phase}', '{step}', '{restore}'])
    expect(metrics.get('restore.phase.status')?.sum).toMatchObject({ aggregationTemporality: 2 })
    expect(metrics.get('restore.phase.status')?.sum?.isMonotonic ?? false).toBe(false)
  })

  test('what is unknown is absent, never 0', async () => {
    const metrics = await exported(startedState())
    const absent = [
      ...['restore.phase.progress', 'restore.progress', 'restore.prepare.scan.progress', 'restore.eta.time'],
      ...['restore.deadline.time', 'restore.source.read', 'restore.prepare.redo.scanned', 'restore.chain.position'],
      ...['restore.chain.length', 'restore.step.status', 'restore.tool.lines', 'restore.phase.duration'],
    ]
    for (const name of absent) expect(read(metrics, name), name).toEqual([])
    expect(read(metrics, 'restore.heartbeat.time')).toHaveLength(1)
  })
})

test('a gauge of a finished phase is gone from the next export, and so is all progress of a finished restore', async () => {
  const { telemetry, receiver } = await startWithReceiver({ OTEL_METRIC_EXPORT_INTERVAL: '100' })
  const at = (phase: RestoreState['phase'], phasePercent: number | null, changes: Partial<RestoreState> = {}) =>
    telemetry.observe(full({ phase, progress: sampleProgress({ phasePercent, restorePercent: 7 }), ...changes }), TICK)
  const seen = () => read(newest(receiver), 'restore.phase.progress').map(p => [p.attributes['restore.phase'], p.value])
  at('restoring_basebackup', 20)
  await receiver.until(() => seen().length > 0)
  expect(seen()).toEqual([['restoring_basebackup', 20]])
  at('preparing_backup', 5)
  await receiver.until(() => seen()[0]?.[0] === 'preparing_backup')
  expect(seen()).toEqual([['preparing_backup', 5]])
  at('preparing_backup', null)
  await receiver.until(() => seen().length === 0)
  at('completed', 100, { status: 'succeeded', step: null })
  await telemetry.shutdown()
  const last = newest(receiver)
  const running = [...last.keys()].filter(name => /progress|eta|redo|source|activity|stall|position/.test(name))
  // A counter stays.
  expect(running).toEqual(['restore.progress', 'restore.source.retries'])
  expect(read(last, 'restore.status').map(({ value }) => value)).toEqual([0, 1, 0, 0])
  expect(read(last, 'restore.step.status').every(({ value }) => value === 0)).toBe(true)
})

test('durations go to the contract buckets, with error.type on failure', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const ended = [
    endedSpan(4, 'phase', 3, { name: 'restoring_basebackup', endedAtMs: T0 + 61_000 }),
    endedSpan(5, 'phase', 3, { name: 'preparing_backup', error: { code: 'prepare_failed', message: 'x' } }),
  ]
  telemetry.observe(sampleState({ endedSpans: ended }), TICK)
  telemetry.observe(sampleState(), TICK)
  await telemetry.shutdown()
  const metric = newest(receiver).get('restore.phase.duration')
  expect(metric?.unit).toBe('s')
  const [extract, prepare] = pointsOf(metric)
  expect(extract?.explicitBounds).toEqual([1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400])
  expect([Number(extract?.count), extract?.sum]).toEqual([1, 61])
  expect(extract?.bucketCounts?.map(Number)).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  expect(attributesOf(prepare!)).toEqual({
    'restore.id': 'restore-1',
    'restore.phase': 'preparing_backup',
    'error.type': 'prepare_failed',
  })
})

test('a zero for every error type is exported before the first increment, and one failure counts once', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  const error = { code: 'disk_full', message: 'no space' } as const
  const failing = sampleState({
    endedSpans: [
      endedSpan(5, 'tool', 4, { error }),
      endedSpan(4, 'phase', 3, { name: 'preparing_backup', error }),
      endedSpan(3, 'attempt', 1, { error }),
      endedSpan(2, 'outcome', 1, { error }),
    ],
    spans: [],
  })
  // At once: the flush that follows the start has not collected yet.
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  telemetry.observe(failing, { type: 'ended', atMs: T0, status: 'failed', phase: 'failed', error: null })
  await telemetry.shutdown()
  const series = receiver.exports().map(metrics => read(new Map(metrics.map(m => [m.name, m])), 'restore.errors'))
  expect(series[0]?.map(({ attributes }) => attributes['error.type'])).toEqual(ERROR_CODES)
  expect(series[0]?.every(({ value }) => value === 0)).toBe(true)
  const counted = series.at(-1)?.filter(({ value }) => value > 0)
  expect(counted).toEqual([{ id: 'restore-1', attributes: { 'error.type': 'disk_full' }, value: 1, type: 'int' }])
})

test('the heartbeat leaves right after the start, and again when the phase or the attempt changes', async () => {
  const { telemetry, receiver } = await startWithReceiver()
  telemetry.observe(startedState(), { type: 'restore_started', atMs: T0 })
  await receiver.until(() => receiver.exports().length === 1, 1500)
  expect(read(newest(receiver), 'restore.heartbeat.time')).toHaveLength(1)
  expect(receiver.spans().map(({ name }) => name)).toEqual(['restore'])
  telemetry.observe(sampleState({ phase: 'restoring_basebackup' }), TICK)
  await receiver.until(() => receiver.exports().length === 2, 1500)
  telemetry.observe(sampleState({ phase: 'restoring_basebackup', attempt: 2 }), TICK)
  await receiver.until(() => receiver.exports().length === 3, 1500)
  telemetry.observe(sampleState({ phase: 'restoring_basebackup', attempt: 2 }), TICK)
  await new Promise(resolve => setTimeout(resolve, 300))
  expect(receiver.exports()).toHaveLength(3)
})

test('restore.recovery.point.time is the end of the newest backup; absent while it is unknown', async () => {
  const withEnd = (endTime: string | null) =>
    samplePlan({ elements: [{ name: 'full', description: { endTime } }] as unknown as Plan['elements'] })
  expect(
    read(await exported(full({ plan: withEnd('2026-11-23 02:03:04') })), 'restore.recovery.point.time'),
  ).toMatchObject([{ value: new Date(2026, 10, 23, 2, 3, 4).getTime() / 1000 }])
  for (const unknown of [null, 'yesterday'])
    expect(read(await exported(full({ plan: withEnd(unknown) })), 'restore.recovery.point.time')).toEqual([])
})

test('binlogs: bytes applied and to apply, transactions of this agent, and the data are as of the last commit', async () => {
  const planned = { bytes: 5000, files: [], transactions: 90 } as unknown as NonNullable<Plan['binlogs']>
  const state = full({
    plan: { ...samplePlan(), binlogs: planned },
    binlogs: { appliedBytes: 1200, transactions: 40, dataAsOfMs: T0 - 5000, readAtMs: T0 },
    counters: { ...full().counters, transactions: 30 },
  })
  const metrics = await exported(state)
  const valuesOf = (name: string) => read(metrics, name).map(({ value }) => value)
  expect(valuesOf('restore.binlog.applied')).toEqual([1200])
  expect(valuesOf('restore.binlog.target')).toEqual([5000])
  expect(valuesOf('restore.binlog.transactions')).toEqual([30])
  expect(valuesOf('restore.recovery.point.time')).toEqual([(T0 - 5000) / 1000])
  const without = await exported(full())
  for (const name of ['applied', 'target', 'transactions']) expect(without.has(`restore.binlog.${name}`)).toBe(false)
})

/** The name that Prometheus 3 gives to a metric that arrives by OTLP. */
function prometheusName({ name, unit, sum, histogram }: Metric): string {
  const suffix = { '%': '_percent', s: '_seconds', By: '_bytes' }[unit] ?? ''
  return name.replaceAll('.', '_') + suffix + (sum?.isMonotonic ? '_total' : '') + (histogram ? '_bucket' : '')
}

test('/metrics has every metric beside OTLP, under the names that Prometheus gives to OTLP metrics', async () => {
  const { port } = new URL(await refusingUrl())
  const { telemetry, receiver } = await startWithReceiver({
    OTEL_METRICS_EXPORTER: 'otlp,prometheus',
    OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    OTEL_EXPORTER_PROMETHEUS_PORT: port,
  })
  telemetry.observe(full(), TICK)
  const scrape = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: 'close' } })
    return response.text()
  }
  telemetry.observe(full({ endedSpans: [endedSpan(4, 'phase', 3, { name: 'restoring_basebackup' })] }), TICK)
  await scrape()
  const text = await scrape()
  await receiver.until(() => newest(receiver).size > 20)
  const scraped = new Set(text.match(/^restore_\w+(?=\{)/gm)!.filter(name => !/_(sum|count)$/.test(name)))
  expect([...newest(receiver).values()].map(prometheusName).sort()).toEqual([...scraped].sort())
  expect(text).toMatch(/^restore_eta_time_seconds\{.*host_name="[^"]+".*\}/m)
  expect(text).not.toContain('otel_scope')
  expect(text).toMatch(/^restore_phase_progress_percent\{.*restore_phase="preparing_backup".*\} 42$/m)
  await telemetry.shutdown()
  expect(receiver.exports().length).toBeGreaterThan(0)
})
