import { formatBytes, formatDuration, formatIso, formatPercent, formatRoughDuration, printable } from '../../format.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import type { Outcome, View } from '../view.ts'
import { formatRate } from './meter.ts'
import { newNotices } from './notices.ts'
import { openOutlet, type ViewStream } from './outlet.ts'
import { summaryLines } from './summary.ts'
import { currentRate, seenRecently, type Track, trackState } from './track.ts'
import { activityWords, stallHint, stepOf } from './words.ts'

const LINE_EVERY_PERCENT = 10
/** While it moves, a line at least this often. */
const LINE_EVERY_MS = 60_000

/** What the last lines said. */
interface Told {
  state: RestoreState
  track: Track
  /** Of the last line about progress. */
  percent: number | null
  atMs: number
}

/** One line a change, with time first and the stable names of phases and steps: for logs, cron and pipes. */
export function createPlainView({ stream }: { stream: ViewStream }): View {
  const outlet = openOutlet(stream)
  let told: Told | null = null
  return {
    observe(state) {
      const { next, lines } = plainLines(told, state)
      told = next
      if (lines.length > 0) outlet.write(lines.map(line => `${formatIso(state.updatedAtMs)} ${line}\n`).join(''))
    },
    close(outcome?: Outcome) {
      const lines = told === null ? [] : summaryLines(told.state, told.track, outcome)
      told = null
      outlet.end(lines.map(line => `${line}\n`).join(''))
    },
  }
}

/** The lines that a state is worth after what was told; pure, its time is the state's own. */
export function plainLines(before: Told | null, state: RestoreState): { next: Told; lines: string[] } {
  const nowMs = state.updatedAtMs
  const track = trackState(before?.track ?? null, state)
  const was = before?.state ?? null
  const lines: string[] = []
  for (const notice of newNotices(was?.notices ?? [], state.notices)) lines.push(`note: ${printable(notice)}`)

  if (was === null)
    lines.push(
      `restore ${state.restoreId} ${hasBegunBefore(state) ? 'continues' : 'starts'}, trace ${state.trace.traceId}`,
    )
  if (state.plan !== null && !was?.plan)
    lines.push(`datadir ${printable(state.plan.datadir)}, with ${state.plan.tool.family} ${state.plan.tool.version}`)
  if (state.attempt > 1 && state.attempt !== was?.attempt) lines.push(`attempt ${state.attempt}`)

  const samePhase =
    was !== null && was.phase === state.phase && was.position === state.position && was.attempt === state.attempt
  const ended = state.status !== 'running'
  if (!samePhase) lines.push(...phaseEndLines(before, track))
  if (!samePhase && !ended && state.attempt > 0) lines.push(`${state.phase} started${ofChain(state)}`)
  const step = stepOf(state.phase, state.step)
  if (!ended && step !== null && (!samePhase || stepOf(was.phase, was.step) !== step))
    lines.push(`${where(state)} started`)
  if (ended && was?.status !== state.status) lines.push(endLine(state))

  let { percent, atMs } = samePhase && before !== null ? before : { percent: null, atMs: nowMs }
  if (!ended) {
    // What was quiet or stalled in another phase has ended with it.
    lines.push(...attentionLines(samePhase ? was : null, state, track))
    const moved = state.progress.phasePercent !== percent && state.progress.phasePercent !== null
    const tenth = (value: number | null) => (value === null ? 0 : Math.floor(value / LINE_EVERY_PERCENT))
    if (moved && (tenth(state.progress.phasePercent) > tenth(percent) || nowMs - atMs >= LINE_EVERY_MS)) {
      lines.push(progressLine(state, track))
      percent = state.progress.phasePercent
      atMs = nowMs
    }
  }
  return { next: { state, track, percent, atMs }, lines }
}

/** Under an agent before, or in an attempt before. */
const hasBegunBefore = ({ attempt, interruptions }: RestoreState): boolean => attempt > 1 || interruptions > 0

const where = (state: RestoreState): string => {
  const step = stepOf(state.phase, state.step)
  return step === null ? state.phase : `${state.phase}/${step}`
}

const ofChain = ({ position, chainLength }: RestoreState) =>
  chainLength > 1 && position > 0 ? ` (element ${position} of ${chainLength})` : ''

function phaseEndLines(before: Told | null, track: Track): string[] {
  const last = before?.track.phases.at(-1)
  if (last === undefined || last.endedAtMs !== null) return []
  const record = track.phases.find(
    ({ phase, position, startedAtMs }) =>
      phase === last.phase && position === last.position && startedAtMs === last.startedAtMs,
  )
  if (record === undefined || record.endedAtMs === null) return []
  const read = record.readBytes === null ? '' : `, ${formatBytes(record.readBytes)} read`
  return [
    `${record.phase} ${record.failed ? 'failed' : 'ended'} after ${formatDuration(record.endedAtMs - record.startedAtMs)}${read}`,
  ]
}

function endLine(state: RestoreState): string {
  const after = `after ${formatDuration(state.updatedAtMs - state.startedAtMs)}`
  return state.error === null
    ? `restore ${state.status} ${after}`
    : `restore ${state.status} ${after}: ${state.error.code}`
}

function progressLine(state: RestoreState, track: Track): string {
  const { phasePercent, restorePercent, eta } = state.progress
  const nowMs = state.updatedAtMs
  const rate = currentRate(state, track, nowMs)
  const parts = [`${where(state)} ${formatPercent(phasePercent)}`]
  if (restorePercent !== null) parts.push(`restore ${formatPercent(restorePercent)}`)
  if (rate !== null) parts.push(formatRate(rate))
  if (eta !== null && eta.atMs > nowMs) {
    const [earliest, latest] = [Math.max(nowMs, eta.earliestMs), eta.latestMs].map(atMs =>
      formatRoughDuration(atMs - nowMs),
    )
    parts.push(`ends in ${formatRoughDuration(eta.atMs - nowMs)} (${earliest}-${latest}), at ${formatIso(eta.atMs)}`)
  }
  return parts.join(', ')
}

function attentionLines(was: RestoreState | null, state: RestoreState, track: Track): string[] {
  const { progress, updatedAtMs: nowMs } = state
  const before = was?.progress
  const activity = activityWords(progress.activity, seenRecently(track, nowMs))
  const since = formatDuration(nowMs - progress.lastProgressAtMs)
  const lines: string[] = []
  if (progress.quietSinceMs !== null && (before?.quietSinceMs ?? null) === null) {
    lines.push(`${where(state)} quiet since ${formatIso(progress.quietSinceMs)}, ${activity}`)
  }
  if (progress.quietSinceMs === null && before != null && before.quietSinceMs !== null) {
    lines.push(`${where(state)} heard of again, was quiet for ${formatDuration(nowMs - before.quietSinceMs)}`)
  }
  if (progress.stalled && !before?.stalled) {
    const limit = formatDuration(progress.stallThresholdMs)
    lines.push(`STALLED: ${where(state)} made no progress for ${since} (limit ${limit}), ${activity}`)
    lines.push(`hint: ${stallHint(progress.activity)[0]}`)
  }
  if (!progress.stalled && before?.stalled) lines.push(`${where(state)} no longer stalled`)
  return lines
}
