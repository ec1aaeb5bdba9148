import { formatBytes, formatDuration, formatIso, formatPercent, formatRoughDuration, printable } from '../../format.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { timeOf } from './frame.ts'
import { activityLabel, retryLabel, stallHint, waitLabel } from './labels.ts'
import { newNotices } from './notices.ts'
import { openOutput, type View, type ViewStream } from './output.ts'
import { formatRate } from './rate.ts'
import { summaryLines } from './summary.ts'
import { addToTimeline, currentRate, recentActivity, type Timeline } from './timeline.ts'

const LINE_EVERY_PERCENT = 10
/** A progressing phase gets a line at least this often. */
const LINE_EVERY_MS = 60_000

/** What the lines so far have shown. */
interface Shown {
  body: RestoreBody
  timeline: Timeline
  /** Percent and time of the last progress line. */
  percent: number | null
  atMs: number
}

/** One line a change, with the time first and the stable names of phases and steps: for logs, cron and pipes. */
export function createPlainView({ stream }: { stream: ViewStream }): View {
  const output = openOutput(stream)
  let shown: Shown | null = null
  return {
    show(body) {
      const { next, lines } = plainLines(shown, body)
      shown = next
      if (lines.length > 0)
        output.write(lines.map(line => `${formatIso(Date.parse(body.updated_at))} ${line}\n`).join(''))
    },
    close() {
      const lines = shown === null ? [] : summaryLines(shown.body, shown.timeline)
      shown = null
      output.end(lines.map(line => `${line}\n`).join(''))
    },
  }
}

/** The lines for a body after those shown before. Pure: the time is the body's own. */
export function plainLines(before: Shown | null, body: RestoreBody): { next: Shown; lines: string[] } {
  const nowMs = Date.parse(body.updated_at)
  const timeline = addToTimeline(before?.timeline ?? null, body)
  const was = before?.body ?? null
  const { progress } = body
  const lines: string[] = []
  for (const notice of newNotices(was?.notices ?? [], body.notices)) lines.push(`note: ${printable(notice)}`)

  if (was === null) {
    const continues = body.attempt > 1 || body.interruptions > 0
    lines.push(`restore ${body.restore_id} ${continues ? 'continues' : 'starts'}, trace ${body.trace_id}`)
  }
  if (body.datadir !== null && body.tool !== null && !was?.datadir)
    lines.push(`datadir ${printable(body.datadir)}, with ${body.tool.family} ${body.tool.version}`)
  if (body.attempt > 1 && body.attempt !== was?.attempt) lines.push(`attempt ${body.attempt}`)

  const samePhase =
    was !== null &&
    was.phase === body.phase &&
    was.chain_position === body.chain_position &&
    was.attempt === body.attempt
  const ended = body.status !== 'running'
  if (!samePhase) lines.push(...phaseEndLines(before, timeline))
  if (!samePhase && !ended && body.attempt > 0) lines.push(`${body.phase} started${elementOf(body)}`)
  if (!ended && progress.step !== null && (!samePhase || was.progress.step !== progress.step))
    lines.push(`${phaseAndStep(body)} started`)
  if (ended && was?.status !== body.status) lines.push(endLine(body))

  let { percent, atMs } = samePhase && before !== null ? before : { percent: null, atMs: nowMs }
  if (!ended) {
    // A new phase is neither quiet nor stalled.
    lines.push(...attentionLines(samePhase ? was : null, body, timeline))
    const moved = progress.percent !== percent && progress.percent !== null
    const tenth = (value: number | null) => (value === null ? 0 : Math.floor(value / LINE_EVERY_PERCENT))
    if (moved && (tenth(progress.percent) > tenth(percent) || nowMs - atMs >= LINE_EVERY_MS)) {
      lines.push(progressLine(body, timeline))
      percent = progress.percent
      atMs = nowMs
    }
  }
  return { next: { body, timeline, percent, atMs }, lines }
}

const phaseAndStep = ({ phase, progress: { step } }: RestoreBody): string =>
  step === null ? phase : `${phase}/${step}`

const elementOf = ({ chain_position, chain_length }: RestoreBody) =>
  chain_position !== null && (chain_length ?? 0) > 1 ? ` (element ${chain_position} of ${chain_length})` : ''

function phaseEndLines(before: Shown | null, timeline: Timeline): string[] {
  const last = before?.timeline.phases.at(-1)
  if (last === undefined || last.endedAtMs !== null) return []
  const record = timeline.phases.find(
    ({ phase, position, startedAtMs }) =>
      phase === last.phase && position === last.position && startedAtMs === last.startedAtMs,
  )
  if (record === undefined || record.endedAtMs === null) return []
  const read = record.readBytes === null ? '' : `, ${formatBytes(record.readBytes)} read`
  const outcome = record.failed ? 'failed' : 'ended'
  return [`${record.phase} ${outcome} after ${formatDuration(record.endedAtMs - record.startedAtMs)}${read}`]
}

function endLine({ status, started_at, updated_at, error }: RestoreBody): string {
  const after = `after ${formatDuration(Date.parse(updated_at) - Date.parse(started_at))}`
  return `restore ${status} ${after}${error === null ? '' : `: ${error.code}`}`
}

function progressLine(body: RestoreBody, timeline: Timeline): string {
  const { percent, restore_percent, eta, eta_earliest, eta_latest } = body.progress
  const nowMs = Date.parse(body.updated_at)
  const rate = currentRate(body, timeline, nowMs)
  const parts = [`${phaseAndStep(body)} ${formatPercent(percent)}`]
  if (restore_percent !== null) parts.push(`restore ${formatPercent(restore_percent)}`)
  if (rate !== null) parts.push(formatRate(rate))
  const waits = body.source_transfer && waitLabel(body.source_transfer)
  if (waits) parts.push(waits)
  if (eta !== null && Date.parse(eta) > nowMs) {
    const rough = (time: string) => formatRoughDuration(Math.max(0, Date.parse(time) - nowMs))
    const range = `${rough(eta_earliest ?? eta)}-${rough(eta_latest ?? eta)}`
    parts.push(`ends in ${rough(eta)} (${range}), at ${formatIso(Date.parse(eta))}`)
  }
  return parts.join(', ')
}

function attentionLines(was: RestoreBody | null, body: RestoreBody, timeline: Timeline): string[] {
  const { progress } = body
  const nowMs = Date.parse(body.updated_at)
  const quietBefore = was?.progress.quiet_since ?? null
  const activity = activityLabel(progress.activity, recentActivity(timeline, nowMs))
  const name = phaseAndStep(body)
  const lines: string[] = []
  if (progress.quiet_since !== null && quietBefore === null)
    lines.push(`${name} quiet since ${formatIso(Date.parse(progress.quiet_since))}, ${activity}`)
  if (progress.quiet_since === null && quietBefore !== null)
    lines.push(`${name} heard of again, was quiet for ${formatDuration(nowMs - Date.parse(quietBefore))}`)
  if (progress.stalled && !was?.progress.stalled) {
    const since = formatDuration(nowMs - timeOf(progress.last_progress_at))
    const limit = formatDuration(progress.stall_threshold_seconds * 1000)
    lines.push(`STALLED: ${name} made no progress for ${since} (limit ${limit}), ${activity}`)
    lines.push(`hint: ${stallHint(body)[0]}`)
  }
  const retries = ({ source_transfer }: RestoreBody) => source_transfer?.retrying?.times ?? 0
  // Once or twice is the network's daily life.
  const [wasRetrying, isRetrying] = [was !== null && retries(was) >= 3, retries(body) >= 3]
  if (isRetrying && !wasRetrying) lines.push(`source: ${retryLabel(body.source_transfer!.retrying!)}`)
  if (wasRetrying && !isRetrying && body.source_transfer) lines.push('source: bytes come again')
  if (!progress.stalled && was?.progress.stalled) lines.push(`${name} no longer stalled`)
  return lines
}
