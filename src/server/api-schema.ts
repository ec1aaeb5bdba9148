import { z } from 'zod'
import { ERROR_CODES } from '../errors.ts'
import { PHASES, RESTORE_STATUSES, STEPS } from '../phases.ts'
import { HTTP_ERRORS } from './http-error.ts'

/**
 * Every body of requests and answers of the API. The server's types, GET /openapi.json, the client's checks and the
 * tests are made from these schemas. Names are those of `restore --json`. Times are ISO 8601 in UTC, sizes and LSNs
 * bytes, percents 0 to 100; null is unknown. A request may have no other fields; an answer of a newer agent may.
 */

const time = z.iso.datetime({ precision: 3 })
const percent = z.number().min(0).max(100)
const count = z.int().min(0)
const phase = z.enum(PHASES)
const step = z.enum(Object.values(STEPS).flat())
const status = z.enum(RESTORE_STATUSES)

/** If the value is an object, the message of the inner problem is right. */
const notAnObject = ({ code }: { code?: string }) => (code === 'invalid_type' ? 'must be an object' : undefined)

export const restoreRequestSchema = z
  .strictObject(
    {
      backup: z.string({ error: 'must be the name of a backup' }),
      to_time: z.string({ error: 'must be a time' }).optional(),
      to_gtid: z.string({ error: 'must be a GTID set' }).optional(),
      to_position: z.string({ error: 'must be FILE:POSITION' }).optional(),
      to_end: z.boolean({ error: 'must be true or false' }).optional(),
      binlog_server_id: z.int({ error: 'must be a whole number' }).min(0).optional(),
      allow_earlier: z.boolean({ error: 'must be true or false' }).optional(),
    },
    { error: notAnObject },
  )
  .meta({
    id: 'RestoreRequest',
    description:
      'Which of the configured backups to restore, and how far its configured binlogs are applied. A target here ' +
      'replaces that of the configuration. All else is the configuration’s.',
  })

export const errorSchema = z
  .object({
    error: z.object({
      code: z.enum([...new Set([...Object.keys(HTTP_ERRORS), ...ERROR_CODES])]),
      message: z.string(),
      hint: z.string(),
    }),
  })
  .meta({ id: 'Error', description: 'Why a request was refused.' })

const restoreErrorSchema = z
  .object({
    code: z.enum(ERROR_CODES),
    message: z.string(),
    last_words: z.array(z.string()),
    hint: z.string(),
    exit_code: z.int().min(1).max(255),
  })
  .meta({ id: 'RestoreError', description: 'How a restore failed; the same as in restore --json.' })

export const progressSchema = z
  .object({
    percent: percent.nullable(),
    restore_percent: percent.nullable(),
    scan_percent: z.int().min(0).max(100).nullable(),
    step: step.nullable(),
    eta: time.nullable(),
    eta_earliest: time.nullable(),
    eta_latest: time.nullable(),
    deadline: time.nullable(),
    last_progress_at: time.nullable(),
    last_activity_at: time.nullable(),
    quiet_since: time.nullable(),
    activity: z.enum(['progressing', 'working', 'flooding', 'dead', 'unknown']),
    stalled: z.boolean(),
    stall_threshold_seconds: z.number().min(0),
  })
  .meta({ id: 'Progress', description: 'How far the phase now running and the whole restore are.' })

const transferSchema = z
  .object({
    bytes_per_second: z.number().min(0).nullable(),
    windows_active: count,
    windows_waiting: count,
    retries: count,
    retrying: z.object({ error_type: z.string(), times: z.int().min(1) }).nullable(),
    waits_for: z.enum(['network', 'tool', 'limit']).nullable(),
    waits: z.object({ network: percent, tool: percent, limit: percent }).nullable(),
  })
  .meta({ id: 'SourceTransfer', description: 'How the process goes that fetches the bytes of the current element.' })

const elementSchema = z
  .object({
    name: z.string(),
    /** The source as given; absent in answers of older agents. */
    source: z.string().default(''),
    kind: z.enum(['full', 'incremental']).nullable(),
    stored_bytes: count.nullable(),
    checksum: z.enum(['verified', 'none', 'partial', 'unknown']).nullable().default(null),
  })
  .meta({ id: 'Element', description: 'One backup of the chain.' })

const binlogSchema = z
  .object({ file: z.string().nullable(), position: count.nullable(), gtid: z.string().nullable() })
  .meta({ id: 'BinlogPosition' })

export const restoreSchema = z
  .object({
    restore_id: z.string(),
    backup: z.string(),
    trace_id: z.string(),
    status,
    started_at: time,
    updated_at: time,
    attempt: count,
    interruptions: count.default(0),
    older_backup: z.boolean().default(false),
    phase,
    phase_started_at: time,
    chain_position: z.int().min(1).nullable(),
    chain_length: z.int().min(1).nullable(),
    progress: progressSchema,
    source_read_bytes: count.nullable(),
    source_total_bytes: count.nullable(),
    source_transfer: transferSchema.nullable().default(null),
    redo_scanned_lsn: count.nullable(),
    redo_applied_lsn: count.nullable(),
    redo_target_lsn: count.nullable(),
    rollback_rows: count.nullable(),
    work: z.object({ pages: count, rows: count, files: count }),
    cpu_seconds: z.number().min(0),
    io_read_bytes: count,
    io_write_bytes: count,
    datadir: z.string().nullable(),
    tool: z.object({ family: z.enum(['mariadb-backup', 'xtrabackup']), version: z.string() }).nullable(),
    elements: z.array(elementSchema).nullable(),
    steps: z.array(z.object({ phase, element: z.int().min(0), kind: z.string() })).nullable(),
    binlog: binlogSchema.nullable(),
    replica_info: z.string().nullable().default(null),
    galera_info: z.string().nullable().default(null),
    attach_replica: z.string().nullable().default(null),
    recovery: z
      .object({
        target: z.string(),
        data_as_of: time.nullable(),
        transactions: count,
        transactions_total: count,
        gtid: z.string().nullable(),
        left_out_from: time.nullable(),
        bytes: count.nullable(),
        bytes_total: count,
        binlogs_restored: count,
        binlogs_total: count,
      })
      .nullable()
      .default(null),
    partial: z.boolean().nullable().default(null),
    run_dir: z.string(),
    notices: z.array(z.string()),
    error: restoreErrorSchema.nullable(),
  })
  .meta({ id: 'Restore', description: 'All that a view of a restore shows.' })

export const statusSchema = z
  .object({
    schema: z.literal(1),
    time,
    agent: z.object({
      version: z.string(),
      pid: z.int().min(1),
      started_at: time,
      ready: z.boolean(),
      draining: z.boolean(),
    }),
    config: z.object({
      file: z.string(),
      loaded_at: time,
      error: z.string().nullable(),
      pending: z.array(z.enum(['listen', 'state_dir'])),
    }),
    backups: z.array(z.object({ name: z.string(), elements: z.int().min(1) })),
    restore: restoreSchema.nullable(),
  })
  .meta({ id: 'Status', description: 'The agent, and the restore it runs or ran last.' })

export const restoreStatusSchema = z
  .object({
    basebackup_compressed_bytes_downloaded: count.nullable(),
    basebackup_compressed_bytes_total: count.nullable(),
    basebackup_prepare_progress: z.int().min(0).max(100).nullable(),
    binlogs_being_restored: count,
    binlogs_pending: count,
    binlogs_restored: count,
    phase,
    current_backup_name: z.string(),
    current_backup_incremental: z.boolean().nullable(),
    restore_chain_index: z.int().min(1),
    restore_chain_total: z.int().min(1),
    restore_id: z.string(),
    status,
    attempt: count,
    progress: progressSchema,
    error: restoreErrorSchema.nullable(),
  })
  .meta({ id: 'RestoreStatus', description: 'MyHoard’s answer to the same request, and ours beside it.' })

export const historyEntrySchema = z
  .object({
    restore_id: z.string(),
    backup: z.string(),
    trace_id: z.string(),
    status,
    phase,
    started_at: time,
    ended_at: time.nullable(),
    seconds: z.number().min(0),
    attempts: count,
    datadir: z.string().nullable(),
    error: z.object({ code: z.enum(ERROR_CODES), message: z.string() }).nullable(),
  })
  .meta({ id: 'HistoryEntry' })

export const historySchema = z
  .object({ restores: z.array(historyEntrySchema) })
  .meta({ id: 'History', description: 'The newest first; the one that runs, if any, is the first.' })

export const acceptedSchema = z
  .object({ restore_id: z.string() })
  .meta({ id: 'Accepted', description: 'The restore that was begun, or is being cancelled.' })

export const drainingSchema = z
  .object({ draining: z.literal(true), restore_id: z.string().nullable() })
  .meta({ id: 'Draining', description: 'The restore that is waited for, if any.' })

export const healthSchema = z.object({ status: z.literal('ok') }).meta({ id: 'Health' })

export type RestoreRequest = z.output<typeof restoreRequestSchema>
export type RestoreBody = z.output<typeof restoreSchema>
export type StatusBody = z.output<typeof statusSchema>
export type RestoreStatusBody = z.output<typeof restoreStatusSchema>
export type HistoryEntry = z.output<typeof historyEntrySchema>
