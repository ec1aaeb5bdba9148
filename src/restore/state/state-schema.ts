import { z } from 'zod'
import type { InnerCompression } from '../../backup/file-name.ts'
import type { OuterFormat } from '../../backup/formats.ts'
import { optionsSchema } from '../../config/options.ts'
import { ERROR_CODES } from '../../errors.ts'
import { PHASES, RESTORE_STATUSES } from '../../phases.ts'
import { sourceRefSchema } from '../../source/source-ref.ts'
import { RUN_KINDS } from './runs.ts'
import type { SpanKind } from './state.ts'

/**
 * What stands in state.json. A later agent goes on by it, so what an older one did not write yet has the value that it would
 * have had, and what nobody can have written is refused.
 */
export const SCHEMA = 2

const FAMILIES = ['mariadb-backup', 'xtrabackup'] as const
const OUTER_FORMATS = ['zstd', 'gzip', 'lz4', 'bzip2', 'xz', 'openssl', 'gpg'] as const satisfies OuterFormat[]
const INNER_COMPRESSIONS = ['zst', 'lz4', 'qp'] as const satisfies InnerCompression[]
const SPAN_KINDS = ['restore', 'outcome', 'attempt', 'phase', 'step', 'progress', 'tool'] as const satisfies SpanKind[]

const text = z.string()
const count = z.number().int().nonnegative()
const numberOrNull = z.number().nullable().default(null)
const attributes = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({})
const links = z.array(z.object({ traceId: text, spanId: text })).default([])

const openSpan = z.object({
  id: text,
  parentId: text.nullable().default(null),
  kind: z.enum(SPAN_KINDS),
  name: text,
  startedAtMs: z.number(),
  attributes,
  links,
})

const run = { element: z.number().int().positive(), kind: z.enum(RUN_KINDS) }

const tool = z.object({
  id: text,
  name: text,
  run: z.object(run),
  pid: z.number().int().positive(),
  // Signals go to it: 0 would be our own group, 1 everybody's.
  pgid: z.number().int().min(2),
  startTicks: count,
  stderrPath: text,
  statusPath: text,
  spanId: text,
  readOffset: count.default(0),
  exit: z.object({ code: z.number().nullable(), signal: text.nullable() }).nullable().default(null),
  runSize: count.default(1),
  fedByAgent: z.boolean().default(false),
})

const textOrNull = text.nullable().default(null)
const no = z.boolean().default(false)

/** What is known of a backup; what an older agent did not look at is unknown. */
const description = z.looseObject({
  family: z.enum(FAMILIES).nullable().default(null),
  toolVersion: textOrNull,
  serverVersion: textOrNull,
  serverUuid: textOrNull,
  backupUuid: textOrNull,
  kind: z.enum(['full', 'incremental']).nullable().default(null),
  prepared: no,
  fromLsn: numberOrNull,
  toLsn: numberOrNull,
  lastLsn: numberOrNull,
  redoMemoryBytes: numberOrNull,
  redoFrames: numberOrNull,
  binlog: z.looseObject({}).nullable().default(null),
  replica: textOrNull,
  galera: textOrNull,
  partial: z.boolean().nullable().default(null),
  hasMysqlSchema: z.boolean().nullable().default(null),
  layers: z.array(z.enum(OUTER_FORMATS)).default([]),
  innerCompression: z.enum(INNER_COMPRESSIONS).nullable().default(null),
  innerEncryption: no,
  storedBytes: numberOrNull,
  dataBytes: numberOrNull,
  files: numberOrNull,
  complete: z.boolean().nullable().default(null),
  problem: z.looseObject({}).nullable().default(null),
})

const element = z.looseObject({
  name: text,
  source: sourceRefSchema,
  directory: text,
  description,
  extracted: z
    .object({
      redoBytes: numberOrNull,
      dataFileBytes: count,
      files: count,
      deltaFiles: z.record(text, z.number()).default({}),
    })
    .nullable()
    .default(null),
})

const command = z.object({ file: text, args: z.array(text) })
const ofStep = { phase: z.enum(PHASES), element: z.number().int().positive() }
const step = z.discriminatedUnion('kind', [
  z.looseObject({ ...ofStep, kind: z.literal('extract'), stages: z.array(command).min(1), into: text }),
  z.looseObject({ ...ofStep, kind: z.literal('copy'), command, into: text }),
  z.looseObject({ ...ofStep, kind: z.literal('decompress'), command, directory: text }),
  z.looseObject({ ...ofStep, kind: z.literal('prepare'), command, directory: text, last: z.boolean() }),
  z.looseObject({ ...ofStep, kind: z.literal('move_back'), command }),
  z.looseObject({ ...ofStep, kind: z.literal('verify') }),
  z.looseObject({ ...ofStep, kind: z.literal('ownership') }),
  z.looseObject({ ...ofStep, kind: z.literal('start_check'), command }),
])

const plan = z.looseObject({
  datadir: text,
  targetDir: text,
  inPlace: z.boolean(),
  tool: z.looseObject({ family: z.enum(FAMILIES), path: text, extractor: text, version: text }),
  memory: z.object({ bytes: count, reason: text }).nullable().default(null),
  owner: z.object({ name: text, uid: count, gid: count }).nullable().default(null),
  deadlineMs: numberOrNull,
  moveBack: z.object({ files: count, copyBytes: count }).nullable().default(null),
  elements: z.array(element).min(1),
  steps: z.array(step),
})

const elapsed = z.object({
  position: z.number().int().positive(),
  part: z.enum(['fetch', 'prepare', 'move_back']),
  seconds: z.number().positive(),
})

/** What an attempt that begins anew keeps of it; the rest is forgotten there, whatever it is. */
const estimator = z.looseObject({
  position: count.default(0),
  phaseSeconds: z.number().default(0),
  work: z.looseObject({ moveSeconds: z.number().default(0) }).prefault({}),
  elapsed: z.array(elapsed).default([]),
})

const counters = {
  lines: {},
  linesDropped: {},
  ioReadBytes: {},
  ioWriteBytes: {},
  cpuSeconds: {},
  attempts: 0,
}

const sourceBytes = { readBytes: numberOrNull, totalBytes: numberOrNull }

export const stateSchema = z.object({
  schema: z.literal(SCHEMA),
  restoreId: text.regex(/^[\w-]+$/),
  agentPid: z.number().int().positive(),
  bootId: text.default(''),
  options: optionsSchema,
  backup: text.nullable().default(null),
  backupIndex: count.default(0),
  startedAtMs: z.number(),
  updatedAtMs: z.number(),
  status: z.enum(RESTORE_STATUSES),
  phase: z.enum(PHASES),
  phaseStartedAtMs: z.number(),
  step: text.nullable().default(null),
  plan: plan.nullable().default(null),
  attempt: count.default(0),
  position: count.default(0),
  chainLength: count.default(0),
  progress: z.looseObject({}).nullable().default(null),
  estimator: estimator.nullable().default(null),
  source: z.object(sourceBytes).prefault({}),
  ahead: z
    .object({ ...sourceBytes, position: count })
    .nullable()
    .default(null),
  redo: z.object({ scannedLsn: numberOrNull, appliedLsn: numberOrNull, targetLsn: numberOrNull }).prefault({}),
  rollbackRows: numberOrNull,
  work: z.object({ pages: count.default(0), rows: count.default(0), files: count.default(0) }).prefault({}),
  progressMark: z.object({ atMs: z.number().default(0), percent: numberOrNull }).prefault({}),
  counters: z.looseObject({}).default(counters),
  trace: z.object({
    traceId: text.regex(/^[0-9a-f]{32}$/),
    flags: count.default(0),
    traceState: text.nullable().default(null),
    parentSpanId: text.nullable().default(null),
    idPrefix: text.default('00000001'),
    nextId: count.default(1),
  }),
  spans: z.array(openSpan).default([]),
  tools: z.array(tool).default([]),
  runs: z.array(z.object({ ...run, finished: z.boolean() })).default([]),
  made: z
    .object({
      directories: z.array(text).default([]),
      filling: z
        .object({ datadir: text, existed: z.boolean(), identity: text.nullable().default(null) })
        .nullable()
        .default(null),
      giveBackTo: text.nullable().default(null),
      parents: z.array(text).optional(),
    })
    .prefault({}),
  failures: count.default(0),
  interruptions: count.default(0),
  memoryCapBytes: numberOrNull,
  lastAttemptSpanId: text.nullable().default(null),
  resumeLink: z.object({ traceId: text, spanId: text }).nullable().default(null),
  error: z.looseObject({ code: text, message: text }).nullable().default(null),
  firstError: z
    .object({ code: z.enum(ERROR_CODES), message: text, lastWords: z.array(text), hint: text })
    .nullable()
    .default(null),
  notices: z.array(text).default([]),
})
