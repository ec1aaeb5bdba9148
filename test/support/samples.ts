import type { BackupDescription } from '../../src/backup/backup.ts'
import { complete, type RestoreOptions } from '../../src/config/options.ts'
import { makePlan, type PlanParts } from '../../src/restore/plan/build-plan.ts'
import type { Plan, PlanElement } from '../../src/restore/plan/plan.ts'
import { initialState } from '../../src/restore/state/reduce.ts'
import type { RestoreState, RunningTool } from '../../src/restore/state/state.ts'
import type { TransferProgress } from '../../src/source/transfer/stats.ts'
import { toolFamily } from '../../src/tool/families.ts'
import type { FamilyName } from '../../src/tool/tool.ts'
import { refs } from './source-refs.ts'

export const T0 = Date.UTC(2026, 0, 1)

export const sampleOptions = (changes: Partial<RestoreOptions> = {}): RestoreOptions => ({
  ...complete(
    { source: refs('/backups/full.xb'), datadir: '/data/mysql' },
    { cwd: '/', env: {}, isRoot: true, nowMs: T0 },
  ),
  ...changes,
})

export const sampleDescription = (changes: Partial<BackupDescription> = {}): BackupDescription => ({
  name: 'full.xb',
  family: 'mariadb-backup',
  toolVersion: '10.11.6-MariaDB',
  serverVersion: '10.11.6-MariaDB',
  serverUuid: null,
  backupUuid: null,
  startTime: null,
  endTime: null,
  kind: 'full',
  prepared: false,
  fromLsn: 0,
  toLsn: 1_000_000,
  lastLsn: 1_500_000,
  redoMemoryBytes: null,
  redoFrames: null,
  binlog: null,
  replica: null,
  galera: null,
  partial: null,
  hasMysqlSchema: true,
  longestNameBytes: 30,
  layers: [],
  innerCompression: null,
  innerEncryption: false,
  storedBytes: 10_000_000,
  dataBytes: 10_000_000,
  files: 100,
  complete: true,
  problem: null,
  ...changes,
})

type ElementChanges = Partial<Omit<PlanElement, 'description' | 'directory'>> & {
  description?: Partial<BackupDescription>
}

/** The parts of a plan; `elements` say how each differs from a bare full stream. */
export function sampleParts(
  changes: Partial<Omit<PlanParts, 'elements' | 'options' | 'family' | 'tool'>> & {
    options?: Partial<RestoreOptions>
    elements?: readonly ElementChanges[]
    tool?: FamilyName
    toolVersion?: string
  } = {},
): PlanParts {
  const { options, elements = [{}], tool: name = 'mariadb-backup', toolVersion, ...rest } = changes
  const family = toolFamily(name)
  return {
    options: sampleOptions(options),
    restoreId: 'ID',
    filters: format => ({ file: format, args: ['-dc'] }),
    streamCheck: { file: 'check', args: [] },
    innerKey: null,
    parallel: 1,
    family,
    tool: {
      family: name,
      path: `/usr/bin/${name}`,
      extractor: `/usr/bin/${family.extractors[0]}`,
      version: toolVersion ?? (name === 'xtrabackup' ? '8.0.35-33' : '10.11.19-MariaDB'),
    },
    memory: { bytes: 1 << 30, reason: 'as --use-memory says' },
    owner: null,
    runAs: null,
    keyIsReadable: true,
    ownsDatadir: true,
    moveBack: null,
    binlogs: null,
    look: null,
    server: options?.startCheck
      ? { program: '/usr/sbin/mariadbd', directory: '/run/restore-agent-1', runAs: null }
      : null,
    ...rest,
    elements: elements.map((element, index) => ({
      name: index === 0 ? 'full.xb' : `inc${index}.xb`,
      source: { kind: 'file', path: index === 0 ? '/backups/full.xb' : `/backups/inc${index}.xb` },
      identity: { size: '10000000' },
      extracted: null,
      ...element,
      description: sampleDescription({ kind: index === 0 ? 'full' : 'incremental', ...element.description }),
    })),
  }
}

export const samplePlan = (elements = 1): Plan =>
  makePlan(sampleParts({ elements: Array.from({ length: elements }, () => ({})) }))

export const sampleState = (changes: Partial<RestoreState> = {}): RestoreState => ({
  ...initialState(
    {
      restoreId: 'r1',
      agentPid: 4711,
      bootId: 'boot',
      options: sampleOptions(),
      trace: {
        traceId: '0af7651916cd43dd8448eb211c80319c',
        flags: 1,
        traceState: null,
        parentSpanId: null,
        idPrefix: 'abcdef01',
        nextId: 1,
      },
      link: null,
      attributes: { 'restore.backup': 'full.xb' },
    },
    T0,
  ),
  ...changes,
})

export const sampleTool = (changes: Partial<RunningTool> = {}): RunningTool => ({
  id: '1-prepare-1-mariadb-backup',
  name: 'mariadb-backup',
  run: { element: 1, kind: 'prepare' },
  pid: 4712,
  pgid: 4712,
  startTicks: 1,
  stderrPath: '/state/r1/x.stderr',
  statusPath: '/state/r1/x.status',
  spanId: 'f000000000000001',
  readOffset: 0,
  exit: null,
  runSize: 1,
  fedByAgent: false,
  ...changes,
})

/** A transfer process that goes well. */
export const sampleTransfer = (changes: Partial<TransferProgress> = {}): TransferProgress => ({
  writtenBytes: 1000,
  bytesPerSecond: 100,
  retries: {},
  retrying: null,
  failedRequests: [],
  active: 8,
  waiting: 0,
  waitShares: { network: 0.9, tool: 0.1, limit: 0 },
  checksums: { verified: 0, none: 0, unknown: 0 },
  ...changes,
})
