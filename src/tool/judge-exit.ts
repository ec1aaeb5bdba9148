import type { ErrorCode } from '../errors.ts'
import { isEnvironmentFault } from './environment-wording.ts'
import type { ToolEvent } from './events.ts'

export type Failure = Extract<ToolEvent, { type: 'failure' }>
export type Complaint = Extract<ToolEvent, { type: 'complaint' }>

/** How a process ended: `code` is null and `signal` set where a signal ended it. */
export interface ToolExit {
  code: number | null
  signal: string | null
}

export type ToolPhase = 'extract' | 'decompress' | 'prepare' | 'move_back'

export interface EndedTool {
  program: string
  phase: ToolPhase
  exit: ToolExit
  /** The `failure` events it gave, oldest first. */
  failures: readonly Failure[]
  /** Its errors of no known meaning, oldest first. */
  complaints?: readonly Complaint[]
  /** Whether `completed OK!` was seen; extractors never say it. */
  saidCompletedOk: boolean
}

export interface Judgement {
  code: ErrorCode
  /** One line. */
  message: string
}

/** Signals that other processes send. All others mean that the tool crashed. */
const FROM_OUTSIDE: ReadonlySet<string> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'])

const PHASE_FAILED: Readonly<Record<ToolPhase, ErrorCode>> = {
  extract: 'extract_failed',
  decompress: 'extract_failed',
  prepare: 'prepare_failed',
  move_back: 'move_back_failed',
}

/** Failures in which data are missing although the tool goes on and exits 0. */
const DESPITE_EXIT_0: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'disk_full',
  'io_error',
  'read_only',
  'file_size_limit',
  'target_not_new',
  'wrong_key',
  'key_missing',
  'source_corrupt',
  'source_truncated',
  'source_unknown',
  'redo_incomplete',
])

/** What a shell exits with where a program cannot be executed, and the dynamic loader without a library. */
const CANNOT_RUN: Readonly<Record<number, ErrorCode>> = { 126: 'tool_broken', 127: 'tool_broken' }

/** An instruction that this processor lacks; more bytes than `ulimit -f`; more CPU time than `ulimit -t`. */
const FAULT_SIGNALS: Readonly<Record<string, ErrorCode>> = {
  SIGILL: 'tool_broken',
  SIGXFSZ: 'file_size_limit',
  SIGXCPU: 'tool_killed',
}

/**
 * The failure to report of several: a full disk or another fault of this machine explains what the tool says of its
 * data afterwards; else the first that names a cause.
 */
export function mainFailure(failures: readonly Failure[], general: ErrorCode): Failure | undefined {
  return (
    failures.find(({ code }) => code === 'disk_full') ??
    failures.find(({ code }) => isEnvironmentFault(code)) ??
    failures.find(({ code }) => code !== general) ??
    failures[0]
  )
}

/**
 * What the end of one tool means; null where nothing tells of a failure. Null is not yet success: of a stream cut
 * between two chunks, or of a cut redo log, only the files tell.
 */
export function judgeExit(ended: EndedTool): Judgement | null {
  const { program, phase, exit, failures, saidCompletedOk } = ended
  const general = PHASE_FAILED[phase]
  if (exit.code === 0) {
    const failure = mainFailure(
      failures.filter(({ code }) => DESPITE_EXIT_0.has(code)),
      general,
    )
    if (failure !== undefined) return { code: failure.code, message: `${program}: ${failure.text}` }
    if (phase === 'extract' || saidCompletedOk) return null
    return { code: general, message: `${program} exited 0 but never said "completed OK!"` }
  }
  const failure = mainFailure(failures, general)
  const { signal } = exit
  if (signal !== null && FROM_OUTSIDE.has(signal) && failure?.code !== 'disk_full')
    return { code: 'tool_killed', message: `${program} was killed by ${signal}` }
  if (failure !== undefined) return { code: failure.code, message: `${program}: ${failure.text}` }
  const fault = exit.signal === null ? (CANNOT_RUN[exit.code!] ?? caughtFault(ended)) : FAULT_SIGNALS[exit.signal]
  return { code: fault ?? general, message: headline(ended) }
}

/** xtrabackup 2.4 catches its own SIGILL (4), prints `got signal 4` and exits with 2. */
const caughtFault = ({ complaints = [] }: EndedTool): ErrorCode | undefined =>
  complaints.some(({ level, text }) => level === 'crash' && text.endsWith(' 4')) ? FAULT_SIGNALS.SIGILL : undefined

/** The tool's own words where it printed some, else how it ended. */
function headline({ program, exit, complaints = [] }: EndedTool): string {
  const crash = complaints.find(({ level }) => level === 'crash')
  if (crash !== undefined) return crash.text
  const error = complaints.find(({ level }) => level === 'error')?.text
  if (exit.signal !== null) return `${program} crashed (${exit.signal})${error === undefined ? '' : `: ${error}`}`
  return error === undefined ? `${program} exited ${exit.code}` : `${program}: ${error}`
}
