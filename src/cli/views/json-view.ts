import type { RestoreBody } from '../../server/api-schema.ts'
import { openOutput, type View, type ViewStream } from './output.ts'
import { addToTimeline, type Timeline } from './timeline.ts'

/**
 * `--json`: one object a line on stdout. `schema` is 1 until a field changes its meaning or goes; new fields may come.
 * `type` is `state` (jsonState, at each change of status, attempt, element, phase, step, whole percent, quiet, stall,
 * retry, notice or error), `summary` (last, after a success) or `error` (report-error.ts). Times are ISO 8601 in UTC,
 * sizes and LSNs bytes, percents 0 to 100 with two decimals, rounded down; null is unknown.
 */
export function createJsonView({ stream }: { stream: ViewStream }): View {
  const output = openOutput(stream)
  let body: RestoreBody | null = null
  let timeline: Timeline | null = null
  let written = ''
  let closed = false
  return {
    show(next) {
      timeline = addToTimeline(timeline, next)
      body = next
      const key = lineKey(next)
      // The next state makes up for a line that was dropped.
      if (key !== written && output.write(`${JSON.stringify(jsonState(next))}\n`)) written = key
    },
    close() {
      if (closed) return
      closed = true
      let last = ''
      if (body !== null && lineKey(body) !== written) last += `${JSON.stringify(jsonState(body))}\n`
      if (body?.status === 'succeeded') last += `${JSON.stringify(jsonSummary(body, timeline!))}\n`
      output.end(last)
    },
  }
}

/** A line is written when this key changes. */
function lineKey({
  status,
  attempt,
  chain_position,
  phase,
  progress,
  source_transfer,
  error,
  notices,
}: RestoreBody): string {
  const whole = (percent: number | null) => (percent === null ? '-' : Math.floor(percent))
  return [
    status,
    attempt,
    chain_position,
    phase,
    progress.step,
    whole(progress.percent),
    whole(progress.restore_percent),
    whole(progress.scan_percent),
    progress.stalled,
    progress.quiet_since !== null,
    source_transfer?.retrying != null,
    error?.code,
    notices.length,
    notices.at(-1),
  ].join('\n')
}

export const jsonState = (body: RestoreBody) => ({
  schema: 1,
  type: 'state',
  time: body.updated_at,
  restore_id: body.restore_id,
  trace_id: body.trace_id,
  status: body.status,
  attempt: body.attempt,
  phase: body.phase,
  phase_started_at: body.phase_started_at,
  chain_position: body.chain_position,
  chain_length: body.chain_length,
  ...body.progress,
  source_read_bytes: body.source_read_bytes,
  source_total_bytes: body.source_total_bytes,
  source_transfer: body.source_transfer,
  redo_scanned_lsn: body.redo_scanned_lsn,
  redo_applied_lsn: body.redo_applied_lsn,
  redo_target_lsn: body.redo_target_lsn,
  rollback_rows: body.rollback_rows,
  recovery: body.recovery,
  datadir: body.datadir,
  notices: body.notices,
  error: body.error,
})

const jsonSummary = (body: RestoreBody, { phases }: Timeline) => ({
  schema: 1,
  type: 'summary',
  time: body.updated_at,
  restore_id: body.restore_id,
  trace_id: body.trace_id,
  status: body.status,
  datadir: body.datadir,
  backup: body.elements?.map(({ source }) => source) ?? null,
  /** Of each element, as `elements[].checksum` of the API. */
  checksums: body.elements?.map(({ checksum }) => checksum) ?? null,
  seconds: (Date.parse(body.updated_at) - Date.parse(body.started_at)) / 1000,
  phases: phases.map(({ phase, position, startedAtMs, endedAtMs }) => ({
    phase,
    chain_position: position > 0 ? position : null,
    seconds: ((endedAtMs ?? startedAtMs) - startedAtMs) / 1000,
  })),
  binlog: body.binlog,
  replica_info: body.replica_info,
  galera_info: body.galera_info,
  attach_replica: body.attach_replica,
  partial: body.partial,
  run_dir: body.run_dir,
})
