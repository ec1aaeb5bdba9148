import { z } from 'zod'
import { optionsSchema } from '../../config/options.ts'
import { ERROR_CODES } from '../../errors.ts'
import { PHASES, RESTORE_STATUSES, STEPS } from '../../phases.ts'
import { initialProgress, type ProgressState, viewProgress } from '../../progress/estimator.ts'
import type { Progress } from '../../progress/progress.ts'
import { transferProgressSchema } from '../../source/transfer/stats.ts'
import { errorSchema, planSchema } from '../plan/plan.ts'
import { RUN_KINDS } from './runs.ts'

/**
 * The state of a restore, as state.json holds it; state.ts infers its types from here. Plain JSON, times are Unix ms.
 * A field that an older agent did not write gets its default. What no agent can have written is refused.
 */
export const SCHEMA = 2

const text = z.string()
const textOrNull = text.nullable().default(null)
const count = z.number().int().nonnegative()
const positive = z.number().int().positive()
const numberOrNull = z.number().nullable().default(null)

const attributes = z.record(text, z.union([text, z.number(), z.boolean()])).default({})
const link = z.object({ traceId: text, spanId: text })

const openSpan = z.object({
  id: text,
  parentId: textOrNull,
  /**
   * `restore` is the root: it ends at once, so that the trace has its root; `outcome` is open until the restore ends.
   */
  kind: z.enum(['restore', 'outcome', 'attempt', 'phase', 'step', 'progress', 'binlog', 'tool', 'request']),
  name: text,
  startedAtMs: z.number(),
  attributes,
  links: z.array(link).default([]),
})

const endedSpan = openSpan.extend({
  endedAtMs: z.number(),
  error: z
    .object({ code: z.enum(ERROR_CODES), message: text })
    .nullable()
    .default(null),
})

const unsentSpan = endedSpan.extend({
  trace: z.object({ traceId: text, flags: count, traceState: textOrNull, parentSpanId: textOrNull }),
})

const run = { element: positive, kind: z.enum(RUN_KINDS) }
const signal = z.custom<NodeJS.Signals>(value => typeof value === 'string')

/** A tool's process, as the next agent needs it to find, adopt or end it. */
const tool = z.object({
  id: text,
  name: text,
  run: z.object(run),
  /** The wrapper: leader of the tool's process group. */
  pid: positive,
  /** Signals go to this group: 0 would be this agent's own group, 1 every process. */
  pgid: z.number().int().min(2),
  /** Field 22 of /proc/<pid>/stat: guards against a reused pid. */
  startTicks: count,
  stderrPath: text,
  statusPath: text,
  spanId: text,
  /** Bytes of its stderr, up to the start of a line, that are in this state. */
  readOffset: count.default(0),
  /** Set once it has ended and its run has not been judged yet. */
  exit: z.object({ code: z.number().nullable(), signal: signal.nullable() }).nullable().default(null),
  /** Number of tools in its run. If fewer are in the state, the agent died while it recorded them. */
  runSize: count.default(1),
  /** The agent writes its input, so it cannot outlive the agent. */
  fedByAgent: z.boolean().default(false),
})

/** What a failed restore removes again: only what it created itself (resume/cleanup.ts). */
const cleanup = z.object({
  /** Directories that did not exist before: target dir, incrementals' dirs. */
  created: z.array(text).default([]),
  /** The datadir, from the moment before move-back begins until the restore ends. */
  partialDatadir: z
    .object({
      datadir: text,
      existed: z.boolean(),
      /** Distinguishes the directory from a later one of the same name; null until it is created. */
      identity: textOrNull,
    })
    .nullable()
    .default(null),
  /** Moved files go back here: `--in-place` consumed a directory that this restore did not create. */
  returnFilesTo: textOrNull,
  /** Missing folders above target dir and datadir, deepest first: they are removed again where they are empty. */
  parents: z.array(text).default([]),
  /** Removal has begun: what these directories still hold is incomplete, and the removal is finished first. */
  removing: z.boolean().default(false),
})

/** Nothing to remove. */
export const emptyLedger = () => cleanup.parse({})

/**
 * The part of the estimator's state that a later attempt relies on. If it is unreadable, the estimator starts anew
 * (`withEstimator`).
 */
const keptEstimator = z.looseObject({
  position: count,
  phaseSeconds: z.number(),
  work: z.looseObject({ moveSeconds: z.number() }),
  elapsed: z.array(
    z.object({ position: positive, part: z.enum(['fetch', 'prepare', 'move_back']), seconds: z.number().positive() }),
  ),
})

function isEstimator(value: unknown): boolean {
  if (!keptEstimator.safeParse(value).success) return false
  try {
    return Number.isFinite(viewProgress(value as ProgressState, 0).stallThresholdMs)
  } catch {
    return false // of another version
  }
}

const byPhase = z.partialRecord(z.enum(PHASES), z.number()).default({})
const sourceBytes = { readBytes: numberOrNull, totalBytes: numberOrNull }

const fields = z.object({
  schema: z.literal(SCHEMA),
  restoreId: text.regex(/^[\w-]+$/),
  /** The agent that wrote this state last, and the boot of the machine it ran in. */
  agentPid: positive,
  bootId: text.default(''),
  /**
   * The options. A later agent continues with them, or with new values as far as it can take them (option-changes.ts).
   */
  options: optionsSchema,
  /** Its name in serve.yaml. */
  backup: textOrNull,
  /** Which backup is being restored: 0 the one asked for, then the older ones in turn. */
  backupIndex: count.default(0),
  startedAtMs: z.number(),
  updatedAtMs: z.number(),
  status: z.enum(RESTORE_STATUSES),
  phase: z.enum(PHASES),
  phaseStartedAtMs: z.number(),
  step: z.enum(Object.values(STEPS).flat()).nullable().default(null),
  /** Null until the backup has been inspected. */
  plan: planSchema.nullable().default(null),
  /** From 1; 0 before the first. */
  attempt: count.default(0),
  /** Current element of the chain (from 1), and how many there are; 0 until known. */
  position: count.default(0),
  chainLength: count.default(0),
  /** What the estimator shows; derived from it. */
  progress: z.custom<Progress>().optional(),
  estimator: z.custom<ProgressState>(isEstimator).nullable().catch(null).default(null),
  /** Bytes read of the stored form of the current element, and their total where known. */
  source: z.object(sourceBytes).prefault({}),
  /** The same of the prefetched element, until it becomes the current one. */
  prefetched: z
    .object({ ...sourceBytes, position: count })
    .nullable()
    .default(null),
  /** By element: how its newest transfer process goes, or went. */
  transfers: z.record(text, transferProgressSchema).catch({}).default({}),
  redo: z.object({ scannedLsn: numberOrNull, appliedLsn: numberOrNull, targetLsn: numberOrNull }).prefault({}),
  /** Rows left to roll back. */
  rollbackRows: numberOrNull,
  /** How far the binlogs of the plan are applied, by whichever agent. */
  binlogs: z
    .object({
      appliedBytes: numberOrNull,
      transactions: count.default(0),
      dataAsOfMs: numberOrNull,
      /** When the server's position was last read. */
      readAtMs: numberOrNull,
    })
    .prefault({}),
  /** What the running step has done so far; becomes the attributes of its span. */
  work: z.object({ pages: count.default(0), rows: count.default(0), files: count.default(0) }).prefault({}),
  /** Where the newest progress span of the running phase ended. */
  progressMark: z.object({ atMs: z.number().default(0), percent: numberOrNull }).prefault({}),
  /** Since this agent process began; never re-based from the state file. */
  counters: z
    .object({
      lines: byPhase,
      linesDropped: byPhase,
      ioReadBytes: byPhase,
      ioWriteBytes: byPhase,
      cpuSeconds: byPhase,
      /** Requests for the source's bytes that were made again, by backup and `error.type`. */
      sourceRetries: z.record(text, z.record(text, count)).default({}),
      transactions: count.default(0),
      attempts: count.default(0),
    })
    .prefault({}),
  /** Identity of the restore's trace, kept across attempts and agents. */
  trace: z.object({
    traceId: text.regex(/^[0-9a-f]{32}$/),
    /** W3C trace flags: 1 sampled, 0 not. */
    flags: count.default(0),
    traceState: textOrNull,
    /** The first agent's TRACEPARENT, where it is the root's parent. */
    parentSpanId: textOrNull,
    /** Prefix of this agent's span ids (8 hex digits); with the counter it makes the 16-digit id. */
    idPrefix: text.default('00000001'),
    nextId: count.default(1),
  }),
  /** Open spans, outermost first. The SDK learns of a span when it ends. */
  spans: z.array(openSpan).default([]),
  /** Spans that the last event ended, exported once this state is on disk. Not in the file. */
  endedSpans: z.array(endedSpan).default([]),
  /** Ended spans whose export was not acknowledged, including those that an earlier restore left in the state dir. */
  unsentSpans: z.array(unsentSpan).default([]),
  tools: z.array(tool).default([]),
  /** Runs that began, the newest last: a later attempt knows from them what stands. */
  runs: z.array(z.object({ ...run, finished: z.boolean() })).default([]),
  cleanup: cleanup.prefault({}),
  /** Attempts at this backup that failed, and agents that died with their tools. */
  failures: count.default(0),
  interruptions: count.default(0),
  /** Less memory for prepare, after a tool was killed for want of it. */
  memoryCapBytes: numberOrNull,
  /** The newest attempt's span: the next attempt links to it. */
  lastAttemptSpanId: textOrNull,
  /** A later agent's own parent trace, linked from the attempt it begins. */
  resumeLink: link.nullable().default(null),
  error: errorSchema.nullable().default(null),
  /** Why the backup asked for was given up for an older one. */
  firstError: errorSchema.nullable().default(null),
  /** Set when the restore has succeeded: which directory holds the data, and whether a command has reported it. */
  success: z.object({ datadirIdentity: text, reported: z.boolean() }).nullable().default(null),
  /** The newest success in this state dir before this restore, into the same datadir. */
  earlier: z
    .object({ restoreId: text, sources: z.array(text), endedAtMs: z.number() })
    .nullable()
    .default(null),
  /** Notices for the user; newest last, at most 20. */
  notices: z.array(text).default([]),
})

export const stateSchema = fields.transform(withEstimator)

/** If this version cannot read the estimator, it starts anew and reads the tools' output from the beginning. */
function withEstimator(found: z.output<typeof fields>) {
  const estimator = found.estimator ?? initialProgress({ stallThresholds: stallThresholds(found.options) })
  const tools = found.estimator === null ? found.tools.map(one => ({ ...one, readOffset: 0 })) : found.tools
  return { ...found, tools, estimator, progress: viewProgress(estimator, found.updatedAtMs) }
}

/** `--stall-timeout` applies to each step without a threshold of its own. */
export const stallThresholds = ({
  stallTimeoutMs,
  stallThresholds: byStep,
}: Pick<z.output<typeof optionsSchema>, 'stallTimeoutMs' | 'stallThresholds'>) => ({
  ...(stallTimeoutMs !== null && { default: stallTimeoutMs }),
  ...byStep,
})
