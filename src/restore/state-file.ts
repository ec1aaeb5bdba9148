import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { RestoreError } from '../errors.ts'
import { PHASES, RESTORE_STATUSES } from '../phases.ts'
import type { RestoreState } from './state.ts'

/**
 * state.json: what a later agent must find. Its schema has a version. What an older agent did not write yet is filled in
 * with what it would have been; what a newer one wrote is refused, because going on with it half understood could cost
 * the data.
 */
const SCHEMA = 1

const text = z.string()
const count = z.number().int().nonnegative()
const numberOrNull = z.number().nullable().default(null)
const attributes = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({})
const links = z.array(z.object({ traceId: text, spanId: text })).default([])

const openSpan = z.object({
  id: text,
  parentId: text.nullable().default(null),
  kind: text,
  name: text,
  startedAtMs: z.number(),
  attributes,
  links,
})

const tool = z.object({
  id: text,
  name: text,
  label: text,
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

const options = z.looseObject({
  sources: z.array(text).min(1),
  datadir: text,
  stateDir: text,
  olderBackups: z.array(z.array(text)).default([]),
  retries: count.default(3),
  retryDelayMs: count.default(5000),
  prefetch: z.boolean().default(true),
})

const plan = z.looseObject({
  datadir: text,
  targetDir: text,
  inPlace: z.boolean(),
  tool: z.looseObject({ family: z.enum(['mariadb-backup', 'xtrabackup']), path: text, extractor: text, version: text }),
  elements: z
    .array(z.looseObject({ name: text, source: text, directory: text, description: z.looseObject({}) }))
    .min(1),
  steps: z.array(z.looseObject({ kind: text, phase: text, element: z.number() })),
})

const counters = {
  lines: {},
  linesDropped: {},
  ioReadBytes: {},
  ioWriteBytes: {},
  cpuSeconds: {},
  attempts: 0,
}

const stateSchema = z.object({
  schema: z.literal(SCHEMA),
  restoreId: text.regex(/^[\w-]+$/),
  agentPid: z.number().int().positive(),
  bootId: text.default(''),
  options,
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
  estimator: z.looseObject({}).nullable().default(null),
  source: z.object({ readBytes: numberOrNull, totalBytes: numberOrNull }).prefault({}),
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
  begun: z.array(text).default([]),
  finished: z.array(text).default([]),
  made: z
    .object({
      directories: z.array(text).default([]),
      filling: z
        .object({ datadir: text, existed: z.boolean(), identity: text.nullable().default(null) })
        .nullable()
        .default(null),
      giveBackTo: text.nullable().default(null),
    })
    .prefault({}),
  failures: count.default(0),
  interruptions: count.default(0),
  memoryCapBytes: numberOrNull,
  lastAttemptSpanId: text.nullable().default(null),
  resumeLink: z.object({ traceId: text, spanId: text }).nullable().default(null),
  error: z.looseObject({ code: text, message: text }).nullable().default(null),
  notices: z.array(text).default([]),
})

/** The state in the file; null where there is none yet. Throws `state_unreadable`, naming the file and what is wrong with it. */
export function readStateFile(path: string): RestoreState | null {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new RestoreError('state_unreadable', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
  return parseState(content, path)
}

/** Throws `state_unreadable`. */
export function parseState(content: string, path: string): RestoreState {
  let json: unknown
  try {
    json = JSON.parse(content)
  } catch {
    throw new RestoreError('state_unreadable', `${path} is not JSON`)
  }
  const { schema } = Object(json) as { schema?: unknown }
  if (typeof schema === 'number' && schema > SCHEMA)
    throw new RestoreError('state_unreadable', `${path} has schema ${schema}, this restore-agent knows ${SCHEMA}`, {
      hint: 'a newer restore-agent wrote it: go on with that version',
    })
  const parsed = stateSchema.safeParse(json)
  if (parsed.success) return { ...parsed.data, endedSpans: [] } as unknown as RestoreState
  const [issue] = parsed.error.issues
  throw new RestoreError('state_unreadable', `${path}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`)
}

/** Atomic: a reader sees the old state or the new one, whole; with `durable`, also after a power cut. */
export function writeStateFile(path: string, state: RestoreState, durable: boolean): void {
  const { endedSpans: _transient, ...persisted } = state
  const temporary = `${path}.tmp`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeFileSync(file, JSON.stringify(persisted))
    if (durable) fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  if (!durable) return
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
