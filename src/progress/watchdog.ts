/**
 * Slow, or hung? Each step has its own signal (the evidence that moves its percentage) and its own patience. Without
 * the signal for longer than that it is stalled, and then it matters what the tool does:
 *
 *   progressing  the signal moved within the last seconds
 *   flooding     it prints that it finds no free pages, again and again: more memory is needed, waiting helps nobody
 *   working      no signal, but CPU or I/O moves, or it prints: slow
 *   dead         samples come, and nothing in them moves: hung (or stopped)
 *   unknown      no samples: another user's process
 */
import type { Phase, Step } from '../phases.ts'
import type { Progress, StallThresholds } from './progress.ts'
import type { ProgressState } from './state.ts'

/** Quiet is said after so long without a line, the percentage standing still. */
export const QUIET_AFTER_MS = 5_000
const SECOND = 1000
const MINUTE = 60 * SECOND

/**
 * Milliseconds. A line of redo comes every 15 s on the slowest disk; a page batch, a file or a rollback may be silent
 * for minutes.
 */
export const DEFAULT_THRESHOLDS = {
  restoring_basebackup: 2 * MINUTE,
  delta_apply: 10 * MINUTE,
  redo_scan: 2 * MINUTE,
  redo_apply: 5 * MINUTE,
  undo_rollback: 15 * MINUTE,
  flush: 10 * MINUTE,
  shutdown: 10 * MINUTE,
  move_back: 10 * MINUTE,
  flooding: MINUTE,
  default: 5 * MINUTE,
} as const satisfies StallThresholds & Partial<Record<Step | Phase | 'flooding' | 'default', number>>

/** Patience with the step or phase now running: the operator's own for it, else the operator's default, else ours. */
export function thresholdOf({ thresholds, step, phase, starvedSinceMs }: ProgressState): number {
  const find = (all: StallThresholds, name: string | null) => (name === null ? undefined : all[name])
  const own = find(thresholds, step) ?? find(thresholds, phase) ?? thresholds.default
  const usual = own ?? find(DEFAULT_THRESHOLDS, step) ?? find(DEFAULT_THRESHOLDS, phase) ?? DEFAULT_THRESHOLDS.default
  if (starvedSinceMs === null) return usual
  return Math.min(usual, thresholds.flooding ?? DEFAULT_THRESHOLDS.flooding)
}

type Watch = Pick<
  Progress,
  'lastProgressAtMs' | 'lastActivityAtMs' | 'quietSinceMs' | 'activity' | 'stalled' | 'stallThresholdMs'
>

export function watch(state: ProgressState, nowMs: number): Watch {
  const began = state.startedAtMs ?? nowMs
  const lastProgressAtMs = state.lastProgressAtMs ?? began
  const lastActivityAtMs = Math.max(state.lastActivityAtMs ?? began, lastProgressAtMs)
  const stillSinceMs = Math.max(state.lastMovedAtMs ?? began, state.lastPrintedAtMs ?? 0)
  const stallThresholdMs = thresholdOf(state)
  const running = state.phase !== null && !state.passed && !ENDED.has(state.phase)
  return {
    lastProgressAtMs,
    lastActivityAtMs,
    quietSinceMs: running && nowMs - stillSinceMs >= QUIET_AFTER_MS ? stillSinceMs : null,
    activity: activityOf(state, nowMs, { lastProgressAtMs, lastActivityAtMs, stallThresholdMs }),
    stalled: running && nowMs - lastProgressAtMs > stallThresholdMs,
    stallThresholdMs,
  }
}

const ENDED: ReadonlySet<Phase> = new Set<Phase>(['completed', 'failed', 'failed_basebackup'])

function activityOf(
  state: ProgressState,
  nowMs: number,
  { lastProgressAtMs, lastActivityAtMs, stallThresholdMs }: Omit<Watch, 'quietSinceMs' | 'activity' | 'stalled'>,
): Progress['activity'] {
  // What is stalled must not count as progressing, however short the patience is.
  const withinMs = Math.min(QUIET_AFTER_MS, stallThresholdMs)
  const recent = (atMs: number | null) => atMs !== null && nowMs - atMs < withinMs
  if (recent(lastProgressAtMs)) return 'progressing'
  if (state.starvedSinceMs !== null && recent(state.lastPrintedAtMs)) return 'flooding'
  if (recent(lastActivityAtMs)) return 'working'
  const isSampled = state.lastSampleAtMs !== null && nowMs - state.lastSampleAtMs < QUIET_AFTER_MS
  return isSampled ? 'dead' : 'unknown'
}
