import type { RestoreState } from '../../restore/state/state.ts'
import { errorAsJson } from '../report-error.ts'
import type { Outcome, View } from '../view.ts'
import { openOutlet, type ViewStream } from './outlet.ts'
import { type Track, trackState } from './track.ts'
import { stepOf } from './words.ts'

/**
 * `--json`: one object a line on stdout. `schema` is 1 until a field changes its meaning or goes; new ones may come.
 * `type` is `state` (fields of jsonState, at each change of status, attempt, element, phase, step, whole percent, quiet,
 * stall, notice or error), `summary` (last, after a success) or `error` (report-error.ts). Times are ISO UTC, sizes and
 * LSNs bytes, percents 0 to 100 cut to two decimals, and null is unknown.
 */
export function createJsonView({ stream }: { stream: ViewStream }): View {
  const outlet = openOutlet(stream)
  let state: RestoreState | null = null
  let track: Track | null = null
  let written = ''
  let closed = false
  return {
    observe(next) {
      track = trackState(track, next)
      state = next
      const mark = markOf(next)
      // A line that found no room is made up for by the next state.
      if (mark !== written && outlet.write(`${JSON.stringify(jsonState(next))}\n`)) written = mark
    },
    close(outcome?: Outcome) {
      if (closed) return
      closed = true
      let last = ''
      if (state !== null && markOf(state) !== written) last += `${JSON.stringify(jsonState(state))}\n`
      if (state?.status === 'succeeded') last += `${JSON.stringify(jsonSummary(state, track!, outcome))}\n`
      outlet.end(last)
    },
  }
}

/** Changes when a line is due. */
function markOf(state: RestoreState): string {
  const { progress } = state
  const whole = (percent: number | null) => (percent === null ? '-' : Math.floor(percent))
  return [
    state.status,
    state.attempt,
    state.position,
    state.phase,
    stepOf(state.phase, state.step),
    whole(progress.phasePercent),
    whole(progress.restorePercent),
    whole(progress.scanPercent),
    progress.stalled,
    progress.quietSinceMs !== null,
    state.error?.code,
    state.notices.length,
    state.notices.at(-1),
  ].join('\n')
}

export function jsonState(state: RestoreState) {
  const { progress, redo, source } = state
  return {
    schema: 1,
    type: 'state',
    time: iso(state.updatedAtMs),
    restore_id: state.restoreId,
    trace_id: state.trace.traceId,
    status: state.status,
    attempt: state.attempt,
    phase: state.phase,
    phase_started_at: iso(state.phaseStartedAtMs),
    step: stepOf(state.phase, state.step),
    chain_position: state.position > 0 ? state.position : null,
    chain_length: state.chainLength > 0 ? state.chainLength : null,
    percent: cut(progress.phasePercent),
    restore_percent: cut(progress.restorePercent),
    scan_percent: progress.scanPercent,
    eta: progress.eta && iso(progress.eta.atMs),
    eta_earliest: progress.eta && iso(progress.eta.earliestMs),
    eta_latest: progress.eta && iso(progress.eta.latestMs),
    deadline: state.plan?.deadlineMs == null ? null : iso(state.plan.deadlineMs),
    last_progress_at: iso(progress.lastProgressAtMs),
    last_activity_at: iso(progress.lastActivityAtMs),
    quiet_since: progress.quietSinceMs === null ? null : iso(progress.quietSinceMs),
    activity: progress.activity,
    stalled: progress.stalled,
    stall_threshold_seconds: progress.stallThresholdMs / 1000,
    source_read_bytes: source.readBytes,
    source_total_bytes: source.totalBytes,
    redo_scanned_lsn: redo.scannedLsn,
    redo_applied_lsn: redo.appliedLsn,
    redo_target_lsn: redo.targetLsn,
    rollback_rows: state.rollbackRows,
    datadir: state.plan?.datadir ?? null,
    notices: state.notices,
    error: state.error && errorAsJson(state.error),
  }
}

function jsonSummary(state: RestoreState, track: Track, outcome: Outcome | undefined) {
  return {
    schema: 1,
    type: 'summary',
    time: iso(state.updatedAtMs),
    restore_id: state.restoreId,
    trace_id: state.trace.traceId,
    status: state.status,
    datadir: state.plan?.datadir ?? null,
    backup: state.plan?.elements.map(({ name }) => name) ?? null,
    seconds: (state.updatedAtMs - state.startedAtMs) / 1000,
    phases: track.phases.map(({ phase, position, startedAtMs, endedAtMs }) => ({
      phase,
      chain_position: position > 0 ? position : null,
      seconds: ((endedAtMs ?? startedAtMs) - startedAtMs) / 1000,
    })),
    binlog: outcome?.binlog ?? state.plan?.elements.at(-1)?.description.binlog ?? null,
    run_dir: outcome?.runDir ?? null,
  }
}

const iso = (atMs: number) => (Number.isFinite(atMs) ? new Date(atMs).toISOString() : null)
const cut = (percent: number | null) => (percent === null ? null : Math.floor(percent * 100) / 100)
