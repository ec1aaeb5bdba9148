import type { Plan } from '../restore/plan/plan.ts'
import type { RestoreState } from '../restore/state/state.ts'
import type { RestoreBody } from './api-schema.ts'

/**
 * The state that a view draws, made again from what GET /status says of it: as much of it as views read. What only the agent
 * itself needs (spans, tools, the estimator's memory, commands of the plan) never leaves it, and is empty here.
 */
export function stateOfBody(body: RestoreBody): RestoreState {
  const { progress } = body
  const at = (time: string | null) => (time === null ? null : Date.parse(time))
  const atOr = (time: string | null) => at(time) ?? Number.NEGATIVE_INFINITY
  // By phase in the agent; a view adds them up.
  const counted = (value: number) => ({ [body.phase]: value })
  const [eta, earliest, latest] = [at(progress.eta), at(progress.eta_earliest), at(progress.eta_latest)]
  const shown: Partial<RestoreState> = {
    schema: 1,
    restoreId: body.restore_id,
    startedAtMs: Date.parse(body.started_at),
    updatedAtMs: Date.parse(body.updated_at),
    status: body.status,
    phase: body.phase,
    phaseStartedAtMs: Date.parse(body.phase_started_at),
    step: progress.step,
    plan: planOf(body),
    attempt: body.attempt,
    position: body.chain_position ?? 0,
    chainLength: body.chain_length ?? 0,
    progress: {
      phasePercent: progress.percent,
      restorePercent: progress.restore_percent,
      scanPercent: progress.scan_percent,
      step: progress.step,
      eta: eta === null ? null : { atMs: eta, earliestMs: earliest ?? eta, latestMs: latest ?? eta },
      lastProgressAtMs: atOr(progress.last_progress_at),
      lastActivityAtMs: atOr(progress.last_activity_at),
      quietSinceMs: at(progress.quiet_since),
      activity: progress.activity,
      stalled: progress.stalled,
      stallThresholdMs: progress.stall_threshold_seconds * 1000,
    },
    source: { readBytes: body.source_read_bytes, totalBytes: body.source_total_bytes },
    redo: {
      scannedLsn: body.redo_scanned_lsn,
      appliedLsn: body.redo_applied_lsn,
      targetLsn: body.redo_target_lsn,
    },
    rollbackRows: body.rollback_rows,
    work: body.work,
    counters: {
      lines: {},
      linesDropped: {},
      ioReadBytes: counted(body.io_read_bytes),
      ioWriteBytes: counted(body.io_write_bytes),
      cpuSeconds: counted(body.cpu_seconds),
      attempts: body.attempt,
    },
    trace: { traceId: body.trace_id, flags: 0, traceState: null, parentSpanId: null, idPrefix: '', nextId: 1 },
    spans: [],
    endedSpans: [],
    tools: [],
    error: body.error && {
      code: body.error.code,
      message: body.error.message,
      lastWords: body.error.last_words,
      hint: body.error.hint,
    },
    notices: body.notices,
  }
  return shown as RestoreState
}

function planOf({ datadir, tool, elements, steps, binlog, progress }: RestoreBody): Plan | null {
  if (datadir === null || tool === null || elements === null || steps === null) return null
  const plan = {
    datadir,
    tool,
    deadlineMs: progress.deadline === null ? null : Date.parse(progress.deadline),
    elements: elements.map(({ name, kind, stored_bytes }, index) => ({
      name,
      description: { kind, storedBytes: stored_bytes, binlog: index === elements.length - 1 ? binlog : null },
    })),
    steps,
  }
  return plan as unknown as Plan
}
