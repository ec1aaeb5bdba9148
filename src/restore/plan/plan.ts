import { z } from 'zod'
import { OUTER_FORMATS } from '../../backup/formats.ts'
import { recoveryPlanSchema } from '../../binlog/recovery-plan.ts'
import type { Immutable } from '../../config/options.ts'
import { ERROR_CODES } from '../../errors.ts'
import { PHASES } from '../../phases.ts'
import type { WorkFacts } from '../../progress/progress.ts'
import { sourceRefSchema } from '../../source/source-ref.ts'

/**
 * A restore as data: `--dry-run` prints it, the coordinator runs it, tests read it, and state.json keeps it. It holds
 * no secret: keys are named by the paths of their files. A field that an older agent did not write gets its default.
 */
const text = z.string()
const textOrNull = text.nullable().default(null)
const count = z.number().int().nonnegative()
const numberOrNull = z.number().nullable().default(null)
const no = z.boolean().default(false)

const family = z.enum(['mariadb-backup', 'xtrabackup'])
export const errorSchema = z.object({
  code: z.enum(ERROR_CODES),
  message: text,
  lastWords: z.array(text).default([]),
  hint: text.default(''),
})

/** As backup/backup.ts has it; null is unknown. */
const description = z.object({
  name: text.default(''),
  family: family.nullable().default(null),
  toolVersion: textOrNull,
  serverVersion: textOrNull,
  serverUuid: textOrNull,
  backupUuid: textOrNull,
  startTime: textOrNull,
  endTime: textOrNull,
  kind: z.enum(['full', 'incremental']).nullable().default(null),
  prepared: no,
  fromLsn: numberOrNull,
  toLsn: numberOrNull,
  lastLsn: numberOrNull,
  redoMemoryBytes: numberOrNull,
  redoFrames: numberOrNull,
  binlog: z.object({ file: textOrNull, position: numberOrNull, gtid: textOrNull }).nullable().default(null),
  replica: textOrNull,
  galera: textOrNull,
  partial: z.boolean().nullable().default(null),
  hasMysqlSchema: z.boolean().nullable().default(null),
  longestNameBytes: z.number().default(0),
  layers: z.array(z.enum(OUTER_FORMATS)).default([]),
  innerCompression: z.enum(['zst', 'lz4', 'qp']).nullable().default(null),
  innerEncryption: no,
  storedBytes: numberOrNull,
  dataBytes: numberOrNull,
  files: numberOrNull,
  complete: z.boolean().nullable().default(null),
  problem: errorSchema.nullable().default(null),
})

const extracted = z.object({
  /** Size of ib_logfile0 or xtrabackup_logfile. */
  redoBytes: numberOrNull,
  /** All other files. */
  dataFileBytes: count,
  files: count,
  /** Tables of it lie outside of the datadir. */
  hasOutsideFiles: z.boolean().optional(),
  /** Sizes by path relative to the element's directory. */
  deltaFiles: z.record(text, z.number()).default({}),
})

const element = z.object({
  /** Name of the file or directory, for people. */
  name: text,
  /** As it was opened: a path is a `file` or a `directory`, which is extracted or prepared already. */
  source: sourceRefSchema,
  /** Of the source when it was looked at; null for a pipe. */
  identity: z.record(text, text).nullable().default(null),
  /** Where the extractor finds the key of this element's files; the file is there while it is extracted. */
  innerKeyFile: text.optional(),
  description,
  /** Where it is extracted: the full to the target dir, each incremental to a directory of its own. */
  directory: text,
  /** What it is after extract; null before. */
  extracted: extracted.nullable().default(null),
})

/** The user that a tool runs as, and the directories that are given to that user first. */
const runAs = z.object({ uid: count, gid: count, directories: z.array(text).default([]) })
const command = z.object({ file: text, args: z.array(text), runAs: runAs.optional() })
/** `element`: position in the chain, from 1. */
const ofStep = { phase: z.enum(PHASES), element: z.number().int().positive() }
const step = z.discriminatedUnion('kind', [
  /** The source's bytes through decrypt and decompress stages into the stream extractor. */
  z.object({ ...ofStep, kind: z.literal('extract'), stages: z.array(command).min(1), into: text }),
  /** Copies a directory source, as reflinks where the file system has them. */
  z.object({ ...ofStep, kind: z.literal('copy'), command, into: text }),
  /** Decompresses files that the extractor could not. */
  z.object({ ...ofStep, kind: z.literal('decompress'), command, directory: text }),
  z.object({
    ...ofStep,
    kind: z.literal('prepare'),
    command,
    directory: text,
    incrementalDir: textOrNull,
    last: z.boolean(),
  }),
  z.object({ ...ofStep, kind: z.literal('move_back'), command }),
  z.object({ ...ofStep, kind: z.literal('verify') }),
  z.object({ ...ofStep, kind: z.literal('ownership') }),
  z.object({ ...ofStep, kind: z.literal('start_check'), command }),
  /** The server that applies the relay logs in `relayDir`, and the one that says where the data stand. */
  z.object({ ...ofStep, kind: z.literal('apply_binlogs'), command, check: command, relayDir: text }),
])

export const planSchema = z.object({
  datadir: text,
  targetDir: text,
  /** True where the source directory is the target dir (`--in-place`). */
  inPlace: z.boolean(),
  tool: z.object({
    family,
    path: text,
    /** mbstream or xbstream. */
    extractor: text,
    version: text,
  }),
  memory: z.object({ bytes: count, reason: text }).nullable().default(null),
  owner: z.object({ name: text, uid: count, gid: count }).nullable().default(null),
  /** The user that tools run as, where it is not the agent's own. */
  runAs: z.object({ uid: count, gid: count }).nullable().default(null),
  deadlineMs: numberOrNull,
  /** The work of move-back, known after extract; 0 bytes where it only renames. */
  moveBack: z.object({ files: count, copyBytes: count }).nullable().default(null),
  /** Known once the backup's position is; null without `--binlogs`. */
  binlogs: recoveryPlanSchema.nullable().default(null),
  elements: z.array(element).min(1),
  /** In the order they run. */
  steps: z.array(step),
})

export type Plan = Immutable<z.output<typeof planSchema>>
export type PlannedTool = Plan['tool']
export type PlanElement = Plan['elements'][number]
export type PlanStep = Plan['steps'][number]
export type ExtractedFacts = NonNullable<PlanElement['extracted']>

/** What the estimator may know of one element of the plan (position from 1). */
export function factsOf(plan: Plan, position: number): WorkFacts {
  const element = plan.elements[position - 1]!
  const { description, extracted } = element
  const last = position === plan.elements.length
  const has = (kind: string) => plan.steps.some(step => step.kind === kind && step.element === position)
  return {
    tool: plan.tool.family,
    toolVersion: plan.tool.version,
    sourceBytes: description.storedBytes,
    chainBytes: plan.elements.map(one => one.description.storedBytes),
    fromLsn: description.fromLsn,
    toLsn: description.toLsn,
    lastLsn: description.lastLsn,
    redoMemoryBytes: description.redoMemoryBytes,
    redoFrames: description.redoFrames,
    redoBytes: extracted?.redoBytes ?? null,
    dataFileBytes: extracted?.dataFileBytes ?? description.dataBytes,
    deltaFiles: extracted && description.kind === 'incremental' ? extracted.deltaFiles : null,
    memoryBytes: plan.memory?.bytes ?? null,
    moveBackFiles: last ? (plan.moveBack?.files ?? null) : null,
    moveBackCopyBytes: last ? (plan.moveBack?.copyBytes ?? null) : null,
    hasPrepare: has('prepare'),
    hasMoveBack: has('move_back'),
    hasStartCheck: has('start_check'),
    binlogBytes: plan.binlogs?.bytes ?? (has('apply_binlogs') ? null : 0),
  }
}
