import { type Attributes, type Meter, type Observable, ValueType } from '@opentelemetry/api'
import { ERROR_CODES, type ErrorCode } from '../errors.ts'
import { PHASES, type Phase, RESTORE_STATUSES, STEPS } from '../phases.ts'
import type { EndedSpan, RestoreState, SourceBytes } from '../restore/state/state.ts'
import { scrubText } from '../secrets.ts'

/**
 * Every metric is one row: its name and how to read it from the newest state. One callback reads all observable metrics
 * from one immutable state, so the values of an export agree. A null is not observed, and a gauge that is not observed
 * is absent. An up-down series cannot be withdrawn: once observed, it is observed at every export.
 */
type Point = readonly [value: number | null, attributes?: Attributes | undefined]

interface Row {
  name: string
  kind: 'gauge' | 'upDown' | 'counter'
  unit: string
  type: ValueType
  read(state: RestoreState, own: OwnCounts): readonly Point[]
}

/** Counts that the state does not hold. */
export interface OwnCounts {
  /** Lines that the rate limit of the log dropped. */
  linesDropped: Partial<Record<Phase, number>>
  errors: Partial<Record<ErrorCode, number>>
}

const gauge = (name: string, unit: string, read: Row['read'], type = ValueType.INT): Row => ({
  name,
  kind: 'gauge',
  unit,
  type,
  read,
})
const counter = (name: string, unit: string, read: Row['read'], type = ValueType.INT): Row => ({
  ...gauge(name, unit, read, type),
  kind: 'counter',
})
const status = (name: string, unit: string, read: Row['read']): Row => ({ ...gauge(name, unit, read), kind: 'upDown' })

const whole = (percent: number | null): number | null => (percent === null ? null : Math.floor(percent))
const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000)
const inPhase = ({ phase }: RestoreState): Attributes => ({ 'restore.phase': phase })

type Read<T> = (state: RestoreState) => T

/** Observed only while the restore runs. */
const running = (name: string, unit: string, read: Read<number | null>, type?: ValueType): Row =>
  gauge(name, unit, state => (state.status === 'running' ? [[read(state)]] : []), type)

const inRunningPhase = (name: string, unit: string, read: Read<number | null>, type?: ValueType): Row =>
  gauge(name, unit, state => (state.status === 'running' ? [[read(state), inPhase(state)]] : []), type)

const ofElement = (state: RestoreState, position: number, value: number | null): Point[] => {
  const element = state.plan?.elements[position - 1]
  return element ? [[value, { 'restore.backup': scrubText(element.name) }]] : []
}

/** Of the element that is being prepared. */
const preparing = (name: string, unit: string, read: Read<number | null>): Row =>
  gauge(name, unit, state =>
    state.status === 'running' && state.phase === 'preparing_backup'
      ? ofElement(state, state.position, read(state))
      : [],
  )

/** Of each element that is being fetched: the current one, and the prefetched one. */
const fetching = (
  name: string,
  unit: string,
  read: (source: SourceBytes, transfer: RestoreState['transfers'][string] | undefined) => readonly Point[],
): Row =>
  gauge(name, unit, state => {
    const { status, phase, position, source, prefetched, spans } = state
    const isFetched = (at: number) =>
      spans.some(({ kind, attributes }) => kind === 'phase' && attributes['restore.chain.position'] === at)
    if (status !== 'running') return []
    const points = (at: number, bytes: SourceBytes): Point[] =>
      read(bytes, state.transfers[at]).flatMap(([value, attributes]) =>
        ofElement(state, at, value).map(([known, backup]): Point => [known, { ...backup, ...attributes }]),
      )
    return [
      ...(phase === 'restoring_basebackup' ? points(position, source) : []),
      ...(prefetched && isFetched(prefetched.position) ? points(prefetched.position, prefetched) : []),
    ]
  })

const byPhase = (counts: Readonly<Partial<Record<Phase, number>>>, attributes?: Attributes): Point[] =>
  Object.entries(counts).map(([phase, count]) => [count, { 'restore.phase': phase, ...attributes }])

type Eta = NonNullable<RestoreState['progress']['eta']>
const eta = (name: string, read: (eta: Eta) => number): Row =>
  running(name, 's', ({ progress }) => seconds(progress.eta && read(progress.eta)), ValueType.DOUBLE)

const ROWS: readonly Row[] = [
  inRunningPhase('restore.phase.progress', '%', ({ progress }) => whole(progress.phasePercent)),
  gauge('restore.progress', '%', ({ progress }) => [[whole(progress.restorePercent)]]),
  inRunningPhase('restore.prepare.scan.progress', '%', ({ phase, progress }) =>
    phase === 'preparing_backup' ? whole(progress.scanPercent) : null,
  ),
  status('restore.phase.status', '{phase}', state =>
    PHASES.map(phase => [Number(phase === state.phase), { 'restore.phase': phase }]),
  ),
  status('restore.status', '{restore}', state =>
    RESTORE_STATUSES.map(each => [Number(each === state.status), { 'restore.state': each }]),
  ),
  status('restore.step.status', '{step}', readSteps),
  inRunningPhase(
    'restore.last_progress.time',
    's',
    state => seconds(state.progress.lastProgressAtMs),
    ValueType.DOUBLE,
  ),
  inRunningPhase('restore.activity.time', 's', state => seconds(state.progress.lastActivityAtMs), ValueType.DOUBLE),
  inRunningPhase('restore.stall.threshold', 's', state => seconds(state.progress.stallThresholdMs), ValueType.DOUBLE),
  gauge('restore.heartbeat.time', 's', () => [[Date.now() / 1000]], ValueType.DOUBLE),
  eta('restore.eta.time', ({ atMs }) => atMs),
  eta('restore.eta.earliest.time', ({ earliestMs }) => earliestMs),
  eta('restore.eta.latest.time', ({ latestMs }) => latestMs),
  gauge('restore.deadline.time', 's', ({ plan }) => [[seconds(plan?.deadlineMs ?? null)]], ValueType.DOUBLE),
  counter('restore.tool.lines', '{line}', ({ counters }) => byPhase(counters.lines)),
  counter('restore.tool.lines.dropped', '{line}', ({ counters }, { linesDropped }) =>
    Object.keys(counters.lines).map(name => {
      const phase = name as Phase
      return [(counters.linesDropped[phase] ?? 0) + (linesDropped[phase] ?? 0), { 'restore.phase': phase }]
    }),
  ),
  fetching('restore.source.read', 'By', ({ readBytes }) => [[readBytes]]),
  fetching('restore.source.size', 'By', ({ totalBytes }) => [[totalBytes]]),
  fetching('restore.source.windows', '{request}', (_source, transfer) => [
    [transfer?.active ?? null, { 'restore.window.state': 'active' }],
    [transfer?.waiting ?? null, { 'restore.window.state': 'waiting' }],
  ]),
  counter('restore.source.retries', '{retry}', ({ counters }) =>
    Object.entries(counters.sourceRetries).flatMap(([backup, byType]) =>
      Object.entries(byType).map(
        ([type, count]): Point => [count, { 'restore.backup': scrubText(backup), 'error.type': type }],
      ),
    ),
  ),
  counter('restore.tool.io', 'By', ({ counters }) => [
    ...byPhase(counters.ioReadBytes, { 'disk.io.direction': 'read' }),
    ...byPhase(counters.ioWriteBytes, { 'disk.io.direction': 'write' }),
  ]),
  counter('restore.tool.cpu', 's', ({ counters }) => byPhase(counters.cpuSeconds), ValueType.DOUBLE),
  preparing('restore.prepare.redo.scanned', 'By', ({ redo }) => redo.scannedLsn),
  preparing('restore.prepare.redo.applied', 'By', ({ redo }) => redo.appliedLsn),
  preparing('restore.prepare.redo.target', 'By', ({ redo }) => redo.targetLsn),
  preparing('restore.prepare.rollback.rows', '{row}', ({ rollbackRows }) => rollbackRows),
  running('restore.chain.position', '{backup}', ({ position }) => position || null),
  gauge('restore.chain.length', '{backup}', ({ chainLength }) => [[chainLength || null]]),
  running('restore.binlog.applied', 'By', ({ plan, binlogs }) => (plan?.binlogs ? binlogs.appliedBytes : null)),
  running('restore.binlog.target', 'By', ({ plan }) => plan?.binlogs?.bytes ?? null),
  counter('restore.binlog.transactions', '{transaction}', ({ plan, counters }) => [
    [plan?.binlogs ? counters.transactions : null],
  ]),
  gauge(
    'restore.recovery.point.time',
    's',
    ({ plan, binlogs }) => [[seconds(binlogs.dataAsOfMs) ?? backupEnd(plan)]],
    ValueType.DOUBLE,
  ),
  counter('restore.attempts', '{attempt}', ({ counters }) => [[counters.attempts]]),
  counter('restore.errors', '{error}', (_state, { errors }) =>
    ERROR_CODES.map(code => [errors[code] ?? 0, { 'error.type': code }]),
  ),
]

/**
 * When the backup ended, as its server's clock showed it; a backup does not say its time zone, so it is taken as ours.
 */
function backupEnd(plan: RestoreState['plan']): number | null {
  const endTime = plan?.elements.at(-1)?.description?.endTime
  const atMs = endTime ? Date.parse(endTime.replace(' ', 'T')) : Number.NaN
  return Number.isFinite(atMs) ? atMs / 1000 : null
}

function readSteps(state: RestoreState): Point[] {
  const planned = new Set<Phase>(state.plan?.steps.map(({ phase }) => phase))
  return Object.entries(STEPS).flatMap(([phase, steps]) => {
    if (!planned.has(phase as Phase)) return []
    const isRunning = state.status === 'running' && state.phase === phase
    return steps.map(
      (step): Point => [Number(isRunning && step === state.step), { 'restore.phase': phase, 'restore.step': step }],
    )
  })
}

const DURATION_BOUNDARIES_S = [1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400]

export interface MetricsOptions {
  meter: Meter
  /** How many readers collect. Each calls the callback once per export. */
  readers: number
  latest: () => RestoreState | null
  own: OwnCounts
}

/** Registers every instrument. The function that it returns records the duration of an ended phase. */
export function observeMetrics({
  meter,
  readers,
  latest,
  own,
}: MetricsOptions): (state: RestoreState, phase: EndedSpan) => void {
  const made = ROWS.map(row => [row, makeInstrument(meter, row)] as const)
  let collections = 0
  meter.addBatchObservableCallback(
    result => {
      const state = latest()
      if (!state) return
      // The first export has a zero of every error type: without it increase() misses the first error.
      const counts = collections++ < readers ? { ...own, errors: {} } : own
      for (const [row, instrument] of made)
        for (const [value, attributes] of row.read(state, counts))
          if (value !== null && Number.isFinite(value))
            result.observe(instrument, value, { 'restore.id': state.restoreId, ...attributes })
    },
    made.map(([, instrument]) => instrument),
  )
  const duration = meter.createHistogram('restore.phase.duration', {
    unit: 's',
    valueType: ValueType.DOUBLE,
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES_S },
  })
  return (state, phase) =>
    duration.record((phase.endedAtMs - phase.startedAtMs) / 1000, {
      'restore.id': state.restoreId,
      'restore.phase': phase.name,
      ...(phase.error && { 'error.type': phase.error.code }),
    })
}

function makeInstrument(meter: Meter, { name, kind, unit, type }: Row): Observable {
  const options = { unit, valueType: type }
  if (kind === 'gauge') return meter.createObservableGauge(name, options)
  if (kind === 'counter') return meter.createObservableCounter(name, options)
  return meter.createObservableUpDownCounter(name, options)
}
