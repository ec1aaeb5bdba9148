import type { Plan } from '../../src/restore/plan/plan.ts'
import { keepUnsent } from '../../src/restore/state/spans.ts'
import type { EndedSpan, OpenSpan, RestoreState } from '../../src/restore/state/state.ts'
import { blankState } from '../support/blank-state.ts'

/** States and spans by hand, so that these tests depend on the shapes only and not on the reducer. */
export const T0 = Date.UTC(2026, 0, 1)

export const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PREFIX = 'abcdef01'
export const spanId = (n: number): string => PREFIX + n.toString(16).padStart(8, '0')

export const samplePlan = (changes: Partial<Plan> = {}): Plan =>
  ({
    datadir: '/var/lib/mysql',
    targetDir: '/var/lib/mysql.restore-1',
    inPlace: false,
    tool: { family: 'mariadb-backup', path: '/usr/bin/mariadb-backup', version: '10.11.6' },
    memory: null,
    owner: null,
    deadlineMs: null,
    moveBack: null,
    elements: [{ name: 'full.xb.zst' }, { name: 'inc1.xb.zst' }],
    steps: [
      { phase: 'restoring_basebackup', element: 1, kind: 'verify' },
      { phase: 'preparing_backup', element: 1, kind: 'verify' },
      { phase: 'finalizing', element: 1, kind: 'verify' },
    ],
    ...changes,
  }) as unknown as Plan

/** Every span that ended is unsent, as the reducer has it. */
export const sampleState = (changes: Partial<RestoreState> = {}): RestoreState =>
  keepUnsent({
    ...blankState('restore-1', TRACE_ID, PREFIX, T0),
    unsentSpans: [],
    progress: sampleProgress(),
    estimator: null as never,
    spans: [openSpan(2, 'outcome', 1), openSpan(3, 'attempt', 1)],
    lastAttemptSpanId: spanId(3),
    ...changes,
  })

export const sampleProgress = (changes: Partial<RestoreState['progress']> = {}): RestoreState['progress'] => ({
  phasePercent: null,
  restorePercent: null,
  scanPercent: null,
  step: null,
  eta: null,
  lastProgressAtMs: T0 + 1500,
  lastActivityAtMs: T0 + 2000,
  quietSinceMs: null,
  activity: 'working',
  stalled: false,
  stallThresholdMs: 600_000,
  ...changes,
})

export const openSpan = (
  n: number,
  kind: OpenSpan['kind'],
  parent: number | null,
  changes: Partial<OpenSpan> = {},
): OpenSpan => ({
  id: spanId(n),
  parentId: parent === null ? null : spanId(parent),
  kind,
  name: kind,
  startedAtMs: T0,
  attributes: {},
  links: [],
  ...changes,
})

export const endedSpan = (
  n: number,
  kind: OpenSpan['kind'],
  parent: number | null,
  changes: Partial<EndedSpan> = {},
): EndedSpan => ({ ...openSpan(n, kind, parent), endedAtMs: T0 + 5000, error: null, ...changes })

/** What the coordinator shows first. */
export const startedState = (changes: Partial<RestoreState> = {}): RestoreState =>
  sampleState({
    endedSpans: [endedSpan(1, 'restore', null, { endedAtMs: T0 + 1 })],
    ...changes,
  })
