import { basename, join } from 'node:path'
import { attachReplica } from '../backup/attach-replica.ts'
import { exitCodeOf } from '../errors.ts'
import { STEPS } from '../phases.ts'
import type { Plan, PlanElement } from '../restore/plan/plan.ts'
import type { RestoreState } from '../restore/state/state.ts'
import { WAITS } from '../source/transfer/stats.ts'
import type { HistoryEntry, RestoreBody, RestoreStatusBody } from './api-schema.ts'

/** Facts about a restore that are not in its state. */
export interface RunFacts {
  /** Name of the backup in the configuration; empty for the one-shot command. */
  backup: string
}

/** The body of a restore for the API and every view, made from one immutable state. */
export function restoreBody(state: RestoreState, { backup }: RunFacts): RestoreBody {
  const { plan, redo, source, counters, error } = state
  const last = plan?.elements.at(-1)?.description
  return {
    restore_id: state.restoreId,
    backup,
    trace_id: state.trace.traceId,
    status: state.status,
    started_at: isoOf(state.startedAtMs),
    updated_at: isoOf(state.updatedAtMs),
    attempt: state.attempt,
    interruptions: state.interruptions,
    older_backup: state.backupIndex > 0,
    phase: state.phase,
    phase_started_at: isoOf(state.phaseStartedAtMs),
    chain_position: state.position > 0 ? state.position : null,
    chain_length: state.chainLength > 0 ? state.chainLength : null,
    progress: progressBody(state),
    source_read_bytes: source.readBytes,
    source_total_bytes: source.totalBytes,
    source_transfer: transferBody(state),
    redo_scanned_lsn: redo.scannedLsn,
    redo_applied_lsn: redo.appliedLsn,
    redo_target_lsn: redo.targetLsn,
    rollback_rows: state.rollbackRows,
    work: state.work,
    cpu_seconds: sum(counters.cpuSeconds),
    io_read_bytes: sum(counters.ioReadBytes),
    io_write_bytes: sum(counters.ioWriteBytes),
    datadir: plan?.datadir ?? null,
    tool: plan && { family: plan.tool.family, version: plan.tool.version },
    elements:
      plan?.elements.map(({ name, description: { kind, storedBytes } }, index) => ({
        name: basename(name),
        source: name,
        kind,
        stored_bytes: storedBytes,
        checksum: checksumOf(state.transfers[index + 1]),
      })) ?? null,
    steps: plan?.steps.map(({ phase, element, kind }) => ({ phase, element, kind })) ?? null,
    binlog: last?.binlog ?? null,
    replica_info: last?.replica ?? null,
    galera_info: last?.galera ?? null,
    attach_replica: plan && last ? attachOf(plan, last) : null,
    recovery: recoveryBody(state),
    partial: plan === null ? null : plan.elements.some(({ description }) => description.partial),
    run_dir: join(state.options.stateDir, state.restoreId),
    notices: [...state.notices],
    error: error && {
      code: error.code,
      message: error.message,
      last_words: [...error.lastWords],
      hint: error.hint,
      exit_code: exitCodeOf(error.code),
    },
  }
}

/** How far the binlogs are applied; `gtid` and `left_out_from` are those of the plan's end. */
function recoveryBody({
  plan,
  binlogs: { appliedBytes, transactions, dataAsOfMs },
}: RestoreState): RestoreBody['recovery'] {
  const planned = plan?.binlogs
  if (!planned) return null
  let before = 0
  const isRestored = planned.files.map(({ from, to }) => {
    before += to - from
    return appliedBytes !== null && before <= appliedBytes
  })
  return {
    target: planned.target,
    data_as_of: isoOrNull(dataAsOfMs),
    transactions,
    transactions_total: planned.transactions,
    gtid: planned.stop.gtid,
    left_out_from: isoOrNull(planned.leftOut?.committedAtMs),
    bytes: appliedBytes,
    bytes_total: planned.bytes,
    binlogs_restored: isRestored.filter(Boolean).length,
    binlogs_total: planned.files.length,
  }
}

/** After a point-in-time recovery the point is where apply ended, not that of the backup. */
function attachOf(plan: Plan, { serverVersion, binlog, replica, galera }: PlanElement['description']): string | null {
  const { binlogs } = plan
  const isMariadb = serverVersion === null ? plan.tool.family === 'mariadb-backup' : /mariadb/i.test(serverVersion)
  const own = { serverVersion, isMariadb }
  return attachReplica(
    binlogs ? { ...own, binlog: binlogs.stop, replica: null, galera: null } : { ...own, binlog, replica, galera },
  )
}

function transferBody({ status, phase, position, transfers }: RestoreState): RestoreBody['source_transfer'] {
  const transfer = transfers[position]
  if (transfer === undefined || status !== 'running' || phase !== 'restoring_basebackup') return null
  const { bytesPerSecond, active, waiting, retries, retrying, waitShares: shares } = transfer
  return {
    bytes_per_second: bytesPerSecond === null ? null : Math.round(bytesPerSecond),
    windows_active: active,
    windows_waiting: waiting,
    retries: sum(retries),
    retrying: retrying && { error_type: retrying.type, times: retrying.times },
    waits_for: shares && WAITS.reduce((most, wait) => (shares[wait] > shares[most] ? wait : most)),
    waits: shares && {
      network: percentOf(shares.network),
      tool: percentOf(shares.tool),
      limit: percentOf(shares.limit),
    },
  }
}

const percentOf = (share: number): number => Math.min(100, Math.max(0, Math.round(share * 100)))

/** Null while the bytes have not come whole, and where no transfer process fetches them. */
function checksumOf(transfer: RestoreState['transfers'][string] | undefined): ElementBody['checksum'] {
  if (transfer === undefined || sum(transfer.checksums) === 0) return null
  const { verified, none, unknown } = transfer.checksums
  if (unknown > 0) return 'unknown'
  return none === 0 ? 'verified' : verified === 0 ? 'none' : 'partial'
}

type ElementBody = NonNullable<RestoreBody['elements']>[number]

function progressBody({ progress, phase, step, plan }: RestoreState): RestoreBody['progress'] {
  const { eta } = progress
  // A step may outlive its phase for one event.
  const inPhase = phase in STEPS && (STEPS[phase as keyof typeof STEPS] as readonly unknown[]).includes(step)
  return {
    percent: cut(progress.phasePercent),
    restore_percent: cut(progress.restorePercent),
    scan_percent: progress.scanPercent,
    step: inPhase ? step : null,
    eta: eta && isoOf(eta.atMs),
    eta_earliest: eta && isoOf(eta.earliestMs),
    eta_latest: eta && isoOf(eta.latestMs),
    deadline: isoOrNull(plan?.deadlineMs),
    last_progress_at: isoOrNull(progress.lastProgressAtMs),
    last_activity_at: isoOrNull(progress.lastActivityAtMs),
    quiet_since: isoOrNull(progress.quietSinceMs),
    activity: progress.activity,
    stalled: progress.stalled,
    stall_threshold_seconds: progress.stallThresholdMs / 1000,
  }
}

/**
 * MyHoard's /status/restore (web_server.py, restore_coordinator.py), field for field and in its order. What it fills
 * with 0 where it does not know, such as a size, is null here. Before the backup has been looked at it says, as MyHoard
 * does, that the backup asked for is 1 of 1.
 */
export function restoreStatusBody(restore: RestoreBody): RestoreStatusBody {
  const { phase, progress, elements } = restore
  const position = restore.chain_position ?? 1
  const element = elements?.[position - 1]
  const prepareProgress = progress.step === 'move_back' ? 100 : progress.scan_percent
  return {
    basebackup_compressed_bytes_downloaded: downloadedBytes(restore),
    basebackup_compressed_bytes_total: total(storedBytes(restore)),
    basebackup_prepare_progress: phase === 'preparing_backup' ? prepareProgress : null,
    ...binlogCounts(restore),
    phase,
    current_backup_name: element?.name ?? restore.backup,
    current_backup_incremental: element?.kind == null ? null : element.kind === 'incremental',
    restore_chain_index: position,
    restore_chain_total: elements?.length || 1,
    restore_id: restore.restore_id,
    status: restore.status,
    attempt: restore.attempt,
    progress,
    error: restore.error,
  }
}

/** Those of the plan; one is being restored while a server applies them. */
function binlogCounts({ phase, recovery }: RestoreBody) {
  const { binlogs_restored = 0, binlogs_total = 0 } = recovery ?? {}
  const binlogs_being_restored = phase === 'applying_binlogs' && binlogs_restored < binlogs_total ? 1 : 0
  const binlogs_pending = binlogs_total - binlogs_restored - binlogs_being_restored
  return { binlogs_being_restored, binlogs_pending, binlogs_restored }
}

/** Stored bytes of every element. A size that was found while fetching is known of the current element only. */
function storedBytes({ elements, chain_position, source_total_bytes }: RestoreBody): (number | null)[] {
  if (elements === null) return [null]
  return elements.map(({ stored_bytes }, index) =>
    index + 1 === chain_position ? (stored_bytes ?? source_total_bytes) : stored_bytes,
  )
}

/** Over the chain: all of the elements before the current one, and what was read of the current one. */
function downloadedBytes(restore: RestoreBody): number | null {
  const { elements, chain_position, phase, source_read_bytes } = restore
  if (elements === null || chain_position === null) return 0
  const sizes = storedBytes(restore)
  const whole = sizes[chain_position - 1] ?? null
  // After the phase all of the element was read, whatever the last sample said.
  const passed = phase === 'preparing_backup' || phase === 'finalizing' || phase === 'completed'
  const read = passed
    ? (whole ?? source_read_bytes)
    : Math.min(source_read_bytes ?? 0, whole ?? Number.MAX_SAFE_INTEGER)
  return total([...sizes.slice(0, chain_position - 1), read])
}

const total = (sizes: readonly (number | null)[]): number | null =>
  sizes.reduce((all, size) => (all === null || size === null ? null : all + size), 0)

/** A line of the history; `ended_at` is null while it runs. */
export const historyEntry = (restore: RestoreBody): HistoryEntry => ({
  restore_id: restore.restore_id,
  backup: restore.backup,
  trace_id: restore.trace_id,
  status: restore.status,
  phase: restore.phase,
  started_at: restore.started_at,
  ended_at: restore.status === 'running' ? null : restore.updated_at,
  seconds: Math.max(0, (Date.parse(restore.updated_at) - Date.parse(restore.started_at)) / 1000),
  attempts: restore.attempt,
  datadir: restore.datadir,
  error: restore.error && { code: restore.error.code, message: restore.error.message },
})

export const isoOf = (atMs: number): string => new Date(atMs).toISOString()
const isoOrNull = (atMs: number | null | undefined) => (Number.isFinite(atMs) ? isoOf(atMs!) : null)
/**
 * Rounded down to two decimals, so that 99.999 is not 100. Values with two decimals stay as they are: in floating point
 * 1.15 times 100 is below 115.
 */
function cut(percent: number | null): number | null {
  if (percent === null) return null
  const nearest = Math.round(percent * 100) / 100
  return nearest <= percent ? nearest : Math.floor(percent * 100) / 100
}
const sum = (byPhase: Readonly<Record<string, number>>) => Object.values(byPhase).reduce((all, value) => all + value, 0)
