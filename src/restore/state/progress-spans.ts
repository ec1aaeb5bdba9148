import { addEndedSpan, phaseSpanOf } from './spans.ts'
import type { RestoreState } from './state.ts'

/** A span every 10 %, and every 5 minutes where that takes longer. */
const EVERY_PERCENT = 10
const EVERY_MS = 5 * 60_000

export function progressSpanIsDue({ progress, progressMark, position, spans }: RestoreState, atMs: number): boolean {
  if (progress.phasePercent === null || !phaseSpanOf({ spans }, position)) return false
  const tens = Math.floor(progress.phasePercent / EVERY_PERCENT)
  const marked = Math.floor((progressMark.percent ?? 0) / EVERY_PERCENT)
  return tens > marked || atMs - progressMark.atMs >= EVERY_MS
}

/** From where the span before it ended to now: together they cover the phase without a gap. */
export function addProgressSpan(state: RestoreState, atMs: number): RestoreState {
  const { percent, atMs: fromMs } = state.progressMark
  const to = state.progress.phasePercent
  const phase = phaseSpanOf(state, state.position)
  if (to === null || to === percent || !phase) return state
  const added = addEndedSpan(state, {
    kind: 'progress',
    name: 'progress',
    parent: phase,
    atMs: fromMs,
    endedAtMs: atMs,
    attributes: {
      'restore.phase': state.phase,
      'restore.progress.from': Math.floor(percent ?? 0),
      'restore.progress.to': Math.floor(to),
    },
  })
  return { ...added, progressMark: { atMs, percent: to } }
}
