import { chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findApplied, followApplied, positionText } from '../../binlog/applied.ts'
import { openBinlogs } from '../../binlog/place.ts'
import type { RecoveryPlan } from '../../binlog/recovery-plan.ts'
import { applyStatements, copyBinlogs, type RelayBorder, resetRelayLogs } from '../../binlog/relay-logs.ts'
import { type UnsafeChanges, unsafeChanges, whyUnsafe } from '../../binlog/unsafe-changes.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes, formatFirst, formatIso } from '../../format.ts'
import { signalMembers } from '../../process/kill-groups.ts'
import { bootId } from '../../process/proc-stat.ts'
import { systemError } from '../../process/system-error.ts'
import type { ToolEvent } from '../../tool/events.ts'
import { initFileIn } from '../../tool/server-command.ts'
import { applyGrammar } from '../../tool/server-grammar.ts'
import { dispatch, notice, noticeOnce, type RestoreContext } from '../context.ts'
import type { Plan, PlanStep } from '../plan/plan.ts'
import { runTools } from '../run/run-tools.ts'
import type { ToolRun } from '../run/watch-tool.ts'
import { hasBegun, isFinished, toolsOf } from '../state/runs.ts'
import { currentOptions } from '../state/state.ts'
import type { Sql } from './check-tables.ts'
import { giveToOwner, takeRestored } from './finalize.ts'
import { metadataDir } from './kept-files.ts'
import {
  askServer,
  directoryOf,
  makePrivateDirectory,
  recordCreated,
  removeLeftovers,
  removePrivateDirectory,
  settingsFor,
} from './private-server.ts'

/**
 * Applies the planned binlogs to the restored datadir, by the replication applier of a private server:
 *
 *   refreshing_binlogs            the planned files become relay logs in a directory of their own
 *   applying_binlogs              a server applies them up to the plan's end, and shuts down
 *   waiting_for_apply_to_finish   another one says where the data stand, and that is compared with the plan
 *
 * The server that applies is told by its init file and watched by its error log and relay-log.info, so it needs no
 * agent. Killed, it is started again and begins where its own data stand, unless it may have been changing what no
 * transaction covers. Nothing else writes to the datadir before.
 */
type ApplyStep = Extract<PlanStep, { kind: 'apply_binlogs' }>
type RunAs = ApplyStep['command']['runAs']

const stepOf = ({ steps }: Plan): ApplyStep => steps.find(step => step.kind === 'apply_binlogs')!

export async function makeRelayLogs(context: RestoreContext): Promise<void> {
  const { store, signal } = context
  const plan = store.state.plan!
  const { binlogs, elements } = plan
  const run = { element: elements.length, kind: 'relay_logs' } as const
  await takeRestored(context)
  if (plan.owner !== null) await giveToOwner(context)
  const { relayDir, command } = stepOf(plan)
  dispatch(context, { type: 'run_begun', run })
  makePrivateDirectory(context, relayDir, command.runAs)
  const place = await openBinlogs(currentOptions(store.state).binlogs!, currentOptions(store.state))
  const totalBytes = binlogs!.files.reduce((sum, { bytes }) => sum + bytes, 0)
  let doneBytes = 0
  try {
    await copyBinlogs(binlogs!, place, relayDir, {
      signal,
      onCopied(bytes) {
        doneBytes += bytes
        dispatch(context, { type: 'progress', input: { type: 'binlogs', doneBytes, totalBytes } })
      },
    })
  } catch (thrown) {
    throw thrown instanceof RestoreError ? thrown : systemError(thrown, `cannot write relay logs to ${relayDir}`)
  } finally {
    await place.close()
  }
  giveFiles(relayDir, command.runAs)
  dispatch(context, { type: 'run_finished', run })
}

const bootFile = (runDir: string): string => join(runDir, 'apply-boot-id')

/** The server had not flushed all, and of tables in no transaction nothing tells what reached the disk. */
export function refuseAfterReboot({ store, runDir }: RestoreContext): void {
  if (!hasBegun(store.state, { kind: 'apply' }) || isFinished(store.state, { kind: 'final_sync' })) return
  if (existsSync(bootFile(runDir)) && readFileSync(bootFile(runDir), 'utf8') === bootId()) return
  throw new RestoreError(
    'binlog_apply_failed',
    'the machine stopped while binlogs were applied, or before they were synced',
    {
      hint: beginAgain(store.state.plan!),
    },
  )
}

const beginAgain = ({ datadir }: Plan): string => `begin again from the backup: empty ${datadir} and restore again`

/** A server that was killed so often is not started again. */
const MOST_KILLED = 3

export async function applyBinlogs(context: RestoreContext): Promise<void> {
  const { store, signal, detached } = context
  const isAgain = hasBegun(store.state, { kind: 'apply' })
  for (let killed = 0; ; ) {
    try {
      if (toolsOf(store.state, { kind: 'apply' }).length === 0) await prepareServer(context)
      await runServer(context)
      return
    } catch (error) {
      if (!(error instanceof RestoreError) || error.code !== 'tool_killed' || signal.aborted || detached())
        throw withPoint(context, isAgain || killed > 0 ? afterKill(context, error) : error)
      if (++killed > MOST_KILLED) throw withPoint(context, error)
      const text = `${error.message}; it is started again (${killed} of ${MOST_KILLED}) and goes on where its data stand`
      notice(context, text)
    }
  }
}

/** What cannot be applied after a server was killed may be what it had done already. */
function afterKill({ store }: RestoreContext, thrown: unknown): unknown {
  if (!(thrown instanceof RestoreError) || thrown.code !== 'binlog_apply_failed') return thrown
  return new RestoreError(thrown.code, thrown.message, { ...thrown, hint: beginAgain(store.state.plan!) })
}

/** Makes the relay logs ready from where the data stand, and the server's init file. */
async function prepareServer(context: RestoreContext): Promise<void> {
  const { store, runDir } = context
  const plan = store.state.plan!
  const binlogs = plan.binlogs!
  const { relayDir, command } = stepOf(plan)
  const first: RelayBorder = { index: 0, position: binlogs.files[0]!.from, gtid: binlogs.start.gtid }
  const border = hasBegun(store.state, { kind: 'apply' }) ? await whereItStands(context, first) : first
  await resetRelayLogs(binlogs, relayDir)
  giveFiles(relayDir, command.runAs)
  const directory = directoryOf(command)
  makePrivateDirectory(context, directory, command.runAs)
  writeFileSync(initFileIn(directory), applyStatements(binlogs, border), { mode: 0o600 })
  giveFiles(directory, command.runAs)
  writeFileSync(bootFile(runDir), bootId(), { mode: 0o600 })
  rmSync(unsafeFile(runDir), { force: true })
}

/** The server's own account of what it applied before it died. */
async function whereItStands(context: RestoreContext, first: RelayBorder): Promise<RelayBorder> {
  const plan = context.store.state.plan!
  const { relayDir, check } = stepOf(plan)
  const changes = keptUnsafeChanges(context.runDir, plan.datadir, relayDir)
  const gtid = await ask(context, 'apply_position', check, positionIn)
  const border = await findApplied(plan.binlogs!, relayDir, gtid)
  // Without relay-log.info it died before its first statement, and gtid_slave_pos is still the backup's.
  if (border === null && changes === null) return first
  const why =
    border === null ? `its position ${gtid} is none of the binlogs'` : await whyUnsafe(changes, relayDir, border)
  if (why === null) return border!
  throw new RestoreError('binlog_apply_failed', `the server died while it applied binlogs, and ${why}`, {
    hint: beginAgain(plan),
  })
}

const unsafeFile = (runDir: string): string => join(runDir, 'unsafe-changes.json')

/** Looked at once after each server that died, however many agents it takes to ask the next server. */
function keptUnsafeChanges(runDir: string, datadir: string, relayDir: string): UnsafeChanges | null {
  const path = unsafeFile(runDir)
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(unsafeChanges(datadir, relayDir)), { mode: 0o600 })
  return JSON.parse(readFileSync(path, 'utf8')) as UnsafeChanges | null
}

const LOOK_MS = 1000

async function runServer(context: RestoreContext): Promise<void> {
  const { store, signal } = context
  const plan = store.state.plan!
  const { relayDir, command } = stepOf(plan)
  const run = { element: plan.elements.length, kind: 'apply' } as const
  const following = followApplied(plan.binlogs!, relayDir)
  let ended: ApplyEnd = { reached: false, position: null }
  const end = () => {
    for (const tool of toolsOf(store.state, run)) signalMembers(tool, 'SIGTERM')
  }
  const look = async () => {
    const applied = await following.look()
    if (applied !== null) dispatch(context, { type: 'applied', applied })
  }
  let looking: Promise<void> = Promise.resolve()
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    looking = look()
      .catch(context.onBug)
      .finally(() => {
        isLooking = false
      })
  }, LOOK_MS)
  signal.addEventListener('abort', end, { once: true })
  // Domains commit independently of each other where several threads apply them: a killed server could then have any
  // mix of them, which is no position in the binlogs.
  const threads = (plan.binlogs!.stop.gtid ?? '').includes(',') ? ['--slave-parallel-threads=0'] : []
  const isAdopted = toolsOf(store.state, run).length > 0
  const settings = isAdopted ? [] : await settingsFor(plan, command.file, configOf(context))
  try {
    await runTools(context, {
      id: run,
      stages: [{ command: { ...command, args: [...command.args, ...settings, ...threads] }, grammar: applyGrammar() }],
      judge: results => judgeApply(results, ended),
      stdin: 'ignore',
      cwd: plan.datadir,
      onEvents(events) {
        for (const event of events) {
          if (event.type !== 'apply_ended') continue
          ended = event
          // The tool is in the state only when its start was recorded.
          setImmediate(end)
        }
      },
    })
  } finally {
    clearInterval(timer)
    signal.removeEventListener('abort', end)
    await looking
    if (!context.detached()) {
      await look()
      await recordCreated(context, plan.datadir, APPLY_KINDS)
      removePrivateDirectory(context, directoryOf(command))
    }
  }
  const appliedBytes = store.state.binlogs.appliedBytes ?? 0
  if (appliedBytes !== plan.binlogs!.bytes)
    throw new RestoreError(
      'binlog_apply_failed',
      `the server says that it has applied all, and stands at ${formatBytes(appliedBytes)} of ${formatBytes(plan.binlogs!.bytes)}`,
    )
}

const APPLY_KINDS = 'apply|apply_position|apply_check'

type ApplyEnd = Pick<Extract<ToolEvent, { type: 'apply_ended' }>, 'reached' | 'position'>

/** A transaction that cannot be applied ends the applier, not the server. */
export function judgeApply(
  [server]: Parameters<ToolRun['judge']>[0],
  { reached, position }: ApplyEnd,
): ReturnType<ToolRun['judge']> {
  const { exit, failures, program } = server!
  if (exit.code === 0 && reached) return null
  const failure = (['disk_full', 'binlog_apply_failed', 'server_failed', 'start_check_failed'] as const)
    .map(named => failures.find(({ code }) => code === named))
    .find(found => found !== undefined)
  if (failure?.code === 'binlog_apply_failed') {
    // The server's words do not always have file and offset.
    const where = position === null ? '' : `, which begins at ${position}`
    return { code: failure.code, message: `a transaction cannot be applied${where}: ${failure.text}`, stage: 0 }
  }
  // What the applied data lack says nothing about the backup.
  if (failure !== undefined)
    return {
      code: failure.code === 'disk_full' ? 'disk_full' : 'server_failed',
      message: `the server that applies binlogs ended: ${failure.text}`,
      stage: 0,
    }
  const how =
    exit.signal === null ? (exit.code === 0 ? 'was shut down' : `exited ${exit.code}`) : `was ended by ${exit.signal}`
  return {
    code: 'tool_killed',
    message: `${program}, which applies binlogs, ${how} before it had applied all`,
    stage: 0,
  }
}

/** What a failed apply leaves in the datadir is said in the error, and in a file there. */
function withPoint({ store, detached }: RestoreContext, thrown: unknown): unknown {
  if (!(thrown instanceof RestoreError) || detached() || thrown.code === 'cancelled' || thrown.code === 'terminated')
    return thrown
  const { datadir } = store.state.plan!
  const point = pointOf(store.state.plan!.binlogs!, store.state.binlogs)
  const text = `${datadir} holds the backup and ${point}: it is not the data that were asked for`
  try {
    writeFileSync(join(datadir, INCOMPLETE), `${thrown.code}: ${thrown.message}\n${text}\n`, { mode: 0o644 })
  } catch {
    // The error itself says it too.
  }
  return new RestoreError(thrown.code, thrown.message, { ...thrown, hint: `${thrown.hint}; ${text}` })
}

/** In a datadir to which not all was applied. */
export const INCOMPLETE = 'restore-incomplete.txt'

function pointOf(
  plan: Pick<RecoveryPlan, 'transactions'>,
  { transactions, dataAsOfMs }: RestoreContext['store']['state']['binlogs'],
): string {
  const asOf = dataAsOfMs === null ? '' : `, as of ${formatIso(dataAsOfMs)}`
  return `${transactions} of ${plan.transactions} transactions of the binlogs${asOf}`
}

/** The relay logs go last, when what the server has was compared. */
export const isChecked = ({ store }: RestoreContext): boolean =>
  isFinished(store.state, { kind: 'apply' }) &&
  !store.state.cleanup.created.includes(stepOf(store.state.plan!).relayDir)

/** Another server, without an applier, says what the datadir has; it must be what the plan expects. */
export async function checkApplied(context: RestoreContext): Promise<void> {
  const { store } = context
  const plan = store.state.plan!
  const binlogs = plan.binlogs!
  const { relayDir, check } = stepOf(plan)
  const { gtid, prepared, events } = await ask(context, 'apply_check', check, async sql => ({
    gtid: await positionIn(sql),
    prepared: await preparedIn(sql),
    events: await eventsLeftDisabled(sql, binlogs.serverId),
  }))
  const problem = differenceOf(binlogs, gtid, prepared)
  if (problem !== null) throw withPoint(context, new RestoreError('binlog_apply_failed', problem))
  if (prepared.length > 0) noticeOnce(context, `prepared XA transactions: ${formatFirst(prepared)}`)
  if (events.length > 0)
    noticeOnce(
      context,
      `events that the binlogs created or changed are disabled, as on a replica: ${formatFirst(events)}; ALTER EVENT … ENABLE those that shall run`,
    )
  for (const text of binlogs.notices) noticeOnce(context, text)
  await removeLeftovers(context, plan.datadir, APPLY_KINDS)
  rmSync(join(plan.datadir, INCOMPLETE), { force: true })
  removePrivateDirectory(context, relayDir)
  dispatch(context, { type: 'progress', input: { type: 'binlogs', doneBytes: 1, totalBytes: 1 } })
}

/** Why what the server has is not what the plan expects; null where it is. */
export function differenceOf(
  { stop, xaPrepared, xaEnded }: Pick<NonNullable<Plan['binlogs']>, 'stop' | 'xaPrepared' | 'xaEnded'>,
  gtid: string,
  prepared: readonly string[],
): string | null {
  if (stop.gtid !== null && positionText(gtid) !== positionText(stop.gtid))
    return `the server has gtid_slave_pos ${gtid || '(empty)'}, and the binlogs end at ${stop.gtid}`
  const missing = xaPrepared.filter(id => !prepared.includes(id))
  if (missing.length > 0) return `XA transactions are not prepared that the binlogs prepared: ${formatFirst(missing)}`
  const left = xaEnded.filter(id => prepared.includes(id))
  return left.length > 0 ? `XA transactions are still prepared that the binlogs ended: ${formatFirst(left)}` : null
}

async function ask<T>(
  context: RestoreContext,
  kind: 'apply_position' | 'apply_check',
  command: ApplyStep['check'],
  question: (sql: Sql) => Promise<T>,
): Promise<T> {
  const plan = context.store.state.plan!
  const directory = directoryOf(command)
  const isAdopted = toolsOf(context.store.state, { kind }).length > 0
  if (!isAdopted) makePrivateDirectory(context, directory, command.runAs)
  try {
    const settings = isAdopted ? [] : await settingsFor(plan, command.file, configOf(context))
    const full = { ...command, args: [...command.args, ...settings] }
    const told = (await askServer(context, kind, full, question)) ?? (await askServer(context, kind, full, question))
    return told!.answer
  } finally {
    if (!context.detached()) removePrivateDirectory(context, directory)
  }
}

const configOf = ({ runDir, store }: RestoreContext): string =>
  join(metadataDir(runDir, store.state.plan!.elements.length), 'backup-my.cnf')

const positionIn = async (sql: Sql): Promise<string> => (await sql('SELECT @@GLOBAL.gtid_slave_pos')).join('').trim()

const preparedIn = async (sql: Sql): Promise<string[]> => (await sql("XA RECOVER FORMAT='SQL'")).map(xaId)

/**
 * A row of `XA RECOVER FORMAT='SQL'` as `X'67',X'62',1`: global part, branch, format. The server writes parts that are
 * printable as they are, `'g','b',1`, also with a quote in them.
 */
export function xaId(row: string): string {
  const [format, globalBytes, branchBytes, data = ''] = row.split('\t')
  if (data.startsWith('X')) return data
  const branchAt = 1 + Number(globalBytes) + "','".length
  const part = (start: number, bytes: number) => Buffer.from(data.slice(start, start + bytes), 'latin1').toString('hex')
  return `X'${part(1, Number(globalBytes))}',X'${part(branchAt, Number(branchBytes))}',${format}`
}

/**
 * The applier notes each event that it creates or changes as SLAVESIDE_DISABLED, enabled or not on the source: which of
 * them shall run only a person knows.
 */
const eventsLeftDisabled = (sql: Sql, serverId: number): Promise<string[]> =>
  sql(
    `SELECT CONCAT(db, '.', name) FROM mysql.event WHERE status = 'SLAVESIDE_DISABLED' AND originator = ${serverId} ORDER BY 1`,
  )

function giveFiles(directory: string, runAs: RunAs): void {
  if (runAs === undefined) return
  for (const name of readdirSync(directory)) chownSync(join(directory, name), runAs.uid, runAs.gid)
}
