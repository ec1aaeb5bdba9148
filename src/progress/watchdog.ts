/**
 * Tells a slow tool from a hung one. Each step has its own evidence of progress and its own threshold. Without evidence
 * for longer than that, the restore is stalled. What the tool does meanwhile is its activity:
 *
 *   progressing  evidence came within the last seconds
 *   flooding     it prints again and again that it finds no free pages: it needs more memory, waiting does not help
 *   working      no evidence, but CPU or I/O moves, or it prints: it is slow
 *   dead         samples come, and no counter moves: it hangs or is stopped
 *   unknown      no samples: another user's process
 */
import type { Phase, Step } from '../phases.ts'
import type { Progress, StallThresholds } from './progress.ts'
import type { ProgressState } from './state.ts'

/** After so long without a line and without a change of the percentage, the tool counts as quiet. */
export const QUIET_AFTER_MS = 5_000
const SECOND = 1000
const MINUTE = 60 * SECOND

/**
 * Milliseconds. Scan lines come every 15 s even on a slow disk; a batch, a file or a rollback may be silent for
 * minutes.
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

/** The slowest disk on which a new redo file is waited for, of which nothing tells while it is synced. */
const SLOWEST_SYNC_BYTES_PER_MS = 5_000

/** The threshold of the running step or phase: the operator's for it, else the operator's default, else ours. */
export function thresholdOf(state: ProgressState): number {
  const { thresholds, step, phase, starvedSinceMs } = state
  const find = (all: StallThresholds, name: string | null) => (name === null ? undefined : all[name])
  const own = find(thresholds, step) ?? find(thresholds, phase) ?? thresholds.default
  const ours = find(DEFAULT_THRESHOLDS, step) ?? find(DEFAULT_THRESHOLDS, phase) ?? DEFAULT_THRESHOLDS.default
  const usual = own ?? Math.max(ours, syncedBytes(state) / SLOWEST_SYNC_BYTES_PER_MS)
  if (starvedSinceMs === null) return usual
  return Math.min(usual, thresholds.flooding ?? DEFAULT_THRESHOLDS.flooding)
}

/** Bytes of the new redo file that the tool now makes; 0 where it makes none. */
const syncedBytes = ({ work }: ProgressState): number => (work.ending === 'new_redo' ? work.newRedoFileBytes : 0)

type Watch = Pick<
  Progress,
  'lastProgressAtMs' | 'lastActivityAtMs' | 'quietSinceMs' | 'activity' | 'stalled' | 'stallThresholdMs'
>

export function watch(state: ProgressState, atMs: number): Watch {
  const { pause } = state
  const nowMs = pause && pause.afterMs === state.lastProgressAtMs ? atMs - pause.ms : atMs
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
  // A stalled restore must not count as progressing, however short the threshold is.
  const withinMs = Math.min(QUIET_AFTER_MS, stallThresholdMs)
  const recent = (atMs: number | null) => atMs !== null && nowMs - atMs < withinMs
  if (recent(lastProgressAtMs)) return 'progressing'
  if (state.starvedSinceMs !== null && recent(state.lastPrintedAtMs)) return 'flooding'
  if (recent(lastActivityAtMs)) return 'working'
  const isSampled = state.lastSampleAtMs !== null && nowMs - state.lastSampleAtMs < QUIET_AFTER_MS
  // While the kernel syncs a new redo file, no counter of the tool moves.
  return isSampled && syncedBytes(state) === 0 ? 'dead' : 'unknown'
}
