/**
 * What a point-in-time recovery will do, as data. It is made in two steps: `scanBinlogs` tells what the binlogs alone
 * tell; once the position of the backup is known, `planRecovery` tells where apply begins, whether the files reach back
 * to it, and what the server must hold at the end.
 */
import { z } from 'zod'
import { RestoreError, toRestoreError } from '../errors.ts'
import { formatIso } from '../format.ts'
import {
  containsSet,
  EMPTY_SET,
  equalSets,
  formatSet,
  type Gtid,
  type GtidFamily,
  type GtidSet,
  gtidState,
  gtidText,
  parseSet,
  positionOf,
  subtractSet,
} from './gtid.ts'
import { createBinlogReader, type Group } from './reader.ts'
import { type BinlogHead, type BinlogScan, damaged, holds, type ScannedFile, scanBinlogs, xaTracker } from './scan.ts'
import { formatTarget, type RecoveryTarget } from './target.ts'

/** The state of the restored data, as the backup's own files tell it; null where they do not. */
export interface BackupPosition {
  file: string | null
  position: number | null
  /** A MySQL GTID set, or MariaDB's last GTID of each domain. */
  gtid: string | null
}

const count = z.number().int().nonnegative()
const timeMs = z.number().nullable()
const text = z.string().nullable()
/** `gtid`: all that is written up to there, as gtid_executed (MySQL) or gtid_slave_pos (MariaDB) has it. */
const border = z.object({ file: z.string(), position: count, gtid: text })

export const recoveryPlanSchema = z.object({
  family: z.enum(['mysql', 'mariadb']),
  /** Of the server that wrote the last file. */
  serverVersion: z.string(),
  serverId: count,
  /** Every event has a checksum. */
  checksums: z.boolean(),
  target: z.string(),
  start: border,
  /** What the server must be at when apply has ended. `gtid` null: without GTIDs. */
  stop: border,
  /** From the file of `start` to that of `stop`, in order. */
  files: z.array(
    z.object({
      /** As its server named it, as far as that is known. */
      name: z.string(),
      /** Where it is found at its place. */
      key: z.string(),
      /** Decoded; of a file in which the scan ended, those read until then. */
      bytes: count,
      /** Of all decoded bytes; null where the scan ended inside the file. */
      crc32: count.nullable(),
      /** Offsets: where the first transaction to apply begins, and where the last one ends. */
      from: count,
      to: count,
      transactions: count,
      firstCommitAtMs: timeMs,
      lastCommitAtMs: timeMs,
    }),
  ),
  transactions: count,
  /** Sum of `to - from`. */
  bytes: count,
  /** Unix ms; null where nothing is applied. */
  firstCommitAtMs: timeMs,
  dataAsOfMs: timeMs,
  /** The first transaction after `stop` in its file. */
  leftOut: z.object({ gtid: text, committedAtMs: z.number() }).nullable(),
  /** What is applied although `--to-gtid` does not name it, as a GTID set. */
  beyondTarget: text,
  /** XA transactions: prepared by the binlogs and still open at `stop`; ended by them, and prepared before `start`. */
  xaPrepared: z.array(z.string()),
  xaEnded: z.array(z.string()),
  notices: z.array(z.string()),
})

export type RecoveryPlan = z.output<typeof recoveryPlanSchema>

/**
 * The heads from which a scan is needed where the backup's position is known: earlier files are in the backup. All of
 * them where no file has the name that the backup notes: a GTID alone does not tell of which timeline it is.
 */
export function headsFrom(heads: readonly BinlogHead[], { file, gtid }: BackupPosition): readonly BinlogHead[] {
  const index = heads.findIndex(({ source }) => source.name === file)
  if (index < 0) return heads
  const held = gtid === null ? null : parseSet(gtid)
  const { previous, format } = heads[index]!
  const isBefore = held === null || previous === null || containsSet(held.set, positionOf(previous, format.family))
  return isBefore ? heads.slice(index) : heads
}

/**
 * Throws `binlog_too_new` (the files begin after the backup), `binlog_fork` and `binlog_foreign` (the backup holds what
 * the files do not, or the other way round), `binlog_position_conflict` (file and GTID disagree),
 * `binlog_position_unknown`, `binlog_target_not_reached` (the target lies before the backup), and what `scanBinlogs`
 * throws.
 */
export async function planRecovery(
  heads: readonly BinlogHead[],
  scanned: BinlogScan,
  target: RecoveryTarget,
  backup: BackupPosition,
  allowEarlier = false,
): Promise<RecoveryPlan> {
  let scan = scanned
  const stopPlace = () => atNextGroup(scan.files, indexOf(scan.files, scan.stop.file), scan.stop.position)
  const start = await findStart(heads, scan, backup).catch(async (thrown: unknown) => {
    const { code } = toRestoreError(thrown)
    if (target.kind !== 'time' || code !== 'binlog_target_not_reached' || scan.nextGroup === null) throw thrown
    scan = await scanBinlogs(heads, { kind: 'end' })
    return findStart(heads, scan, backup)
  })
  let order = scan === scanned ? compare(start, stopPlace()) : 1
  if (order > 0 && target.kind === 'time' && start.before !== null && start.before.committedAtMs <= target.atMs) {
    // A clock that was once ahead has put a later time before the backup: the target lies after it all the same.
    const rest = heads.slice(heads.findIndex(({ source }) => source === start.file.source))
    scan = await scanBinlogs(rest, target, { allowEarlier, from: start.position })
    start.index = 0
    order = compare(start, stopPlace())
  }
  if (order > 0 || (order === 0 && !isExactly(target, start))) throw beforeBackup(target, start, backup)

  const stopIndex = indexOf(scan.files, scan.stop.file)
  const isOneFile = order === 0 || start.index === stopIndex
  const first = await countFrom(start, isOneFile ? target : { kind: 'end' })
  const files = order === 0 ? [first] : [first, ...scan.files.slice(start.index + 1, stopIndex + 1)]
  while (files.length > 1 && files.at(-1)!.groups === 0) files.pop()
  const last = files.at(-1)!
  const { family } = last.format
  const applied = order === 0 ? [{ ...first, groups: 0, lastGroup: start.position, xa: NO_XA }] : files
  return describe(applied, scan, target, start, family)
}

const NO_XA = { prepared: [], ended: [] }

function describe(
  files: readonly ScannedFile[],
  scan: BinlogScan,
  target: RecoveryTarget,
  start: Start,
  family: GtidFamily,
): RecoveryPlan {
  const last = files.at(-1)!
  const isEmpty = files.every(({ groups }) => groups === 0)
  const after = isEmpty ? start.state : last.after
  // A MySQL server with gtid_mode=OFF writes empty sets.
  const gtid = (set: GtidSet | null) =>
    set === null || (family === 'mysql' && set.size === 0) ? null : formatSet(positionOf(set, family), family)
  const xa = xaTracker()
  for (const file of files) xa.addRange(file.xa)
  const { prepared, ended } = xa.effect()
  const parts = files.map((file, index) => ({
    name: file.name,
    key: file.source.key,
    bytes: file.bytes,
    crc32: file.crc32,
    from: index === 0 ? start.position : file.firstGroup,
    to: index === 0 && file.groups === 0 ? start.position : file.lastGroup,
    transactions: file.groups,
    firstCommitAtMs: file.groups === 0 ? null : file.firstCommitAtMs,
    lastCommitAtMs: file.groups === 0 ? null : file.lastCommitAtMs,
  }))
  const sum = (of: (part: (typeof parts)[number]) => number) => parts.reduce((total, part) => total + of(part), 0)
  return {
    family,
    serverVersion: last.format.serverVersion,
    serverId: last.format.serverId,
    checksums: files.every(({ format }) => format.hasChecksums),
    target: formatTarget(target) + (scan.isShort ? ' (not reached)' : ''),
    start: { file: start.file.name, position: start.position, gtid: gtid(start.state) },
    stop: { file: last.name, position: parts.at(-1)!.to, gtid: gtid(after) },
    files: parts,
    transactions: sum(part => part.transactions),
    bytes: sum(part => part.to - part.from),
    firstCommitAtMs: parts.find(part => part.firstCommitAtMs !== null)?.firstCommitAtMs ?? null,
    dataAsOfMs: parts.findLast(part => part.lastCommitAtMs !== null)?.lastCommitAtMs ?? null,
    leftOut: scan.nextGroup && {
      gtid: scan.nextGroup.gtid && gtidText(scan.nextGroup.gtid),
      committedAtMs: scan.nextGroup.committedAtMs,
    },
    beyondTarget: beyond(target, start.state, after, family),
    xaPrepared: [...prepared],
    xaEnded: [...ended],
    notices: [...scan.notices],
  }
}

/** What came with the target, although it names others only. */
function beyond(
  target: RecoveryTarget,
  start: GtidSet | null,
  after: GtidSet | null,
  family: GtidFamily,
): string | null {
  if (target.kind !== 'gtid' || start === null || after === null) return null
  const rest = subtractSet(subtractSet(after, start), target.set)
  return rest.size === 0 ? null : formatSet(rest, family)
}

interface Start {
  file: ScannedFile
  /** Of `file` among the scan's files. */
  index: number
  position: number
  /** All that is written up to there; null without GTIDs. */
  state: GtidSet | null
  /** The transaction before it; null where no file that was read has it. */
  before: { gtid: Gtid | null; committedAtMs: number } | null
}

type Place = Pick<Start, 'index' | 'position'>
const compare = (a: Place, b: Place): number => a.index - b.index || a.position - b.position
const indexOf = (files: readonly ScannedFile[], name: string): number => files.findIndex(file => file.name === name)

/** Whether a target at the very start of apply is the state of the backup, and not one before it. */
function isExactly(target: RecoveryTarget, { state, before }: Start): boolean {
  if (target.kind === 'time') return before !== null && before.committedAtMs <= target.atMs
  if (target.kind !== 'gtid' || state === null) return true
  const isLast =
    before?.gtid && containsSet(target.set, new Map([[before.gtid.stream, [[before.gtid.number, before.gtid.number]]]]))
  return isLast || equalSets(state, target.set)
}

function beforeBackup(target: RecoveryTarget, { file, position, before }: Start, backup: BackupPosition): RestoreError {
  const place = backup.file === null ? `${file.name}:${position}` : `${backup.file}:${backup.position}`
  const time = before === null ? '' : ` (last commit before it at ${formatIso(before.committedAtMs)})`
  return new RestoreError(
    'binlog_target_not_reached',
    `${formatTarget(target)} lies before the backup, which is at ${place}${time}`,
    { hint: 'restore from an older backup, or name a later target' },
  )
}

/** The file of `start`, counted from there. */
async function countFrom({ file, position }: Start, target: RecoveryTarget): Promise<ScannedFile> {
  const head = { ...file, source: { ...file.source, name: file.name } }
  const scan = await scanBinlogs([head], target, { allowEarlier: true, from: position })
  return scan.files[0]!
}

async function findStart(heads: readonly BinlogHead[], scan: BinlogScan, backup: BackupPosition): Promise<Start> {
  if (backup.gtid === null && (backup.file === null || backup.position === null))
    throw new RestoreError('binlog_position_unknown', 'the backup does not tell its position in the binlogs')
  const hasGtids = scan.files[0]!.previous !== null && scan.files.some(({ after }) => after !== null && after.size > 0)
  const byPosition = await startByPosition(scan, backup)
  // An empty GTID is also what a backup has of a server without GTIDs: then its position tells more.
  const byGtid =
    backup.gtid !== null && hasGtids && (backup.gtid !== '' || byPosition === null)
      ? await startByGtid(scan, backup.gtid)
      : null
  if (byGtid !== null) {
    const same =
      byPosition === null || [byPosition.start, byPosition.next].some(place => place && compare(place, byGtid) === 0)
    if (same) return byGtid
    const { file, position } = byPosition.start
    throw new RestoreError(
      'binlog_position_conflict',
      `the backup's GTID ${backup.gtid} ends at ${byGtid.file.name}:${byGtid.position}, its position ` +
        `${backup.file}:${backup.position} at ${file.name}:${position}`,
    )
  }
  if (byPosition?.next)
    throw new RestoreError(
      'binlog_position_unknown',
      `the backup's position ${backup.file}:${backup.position} lies inside a transaction, and without GTIDs nothing ` +
        'tells whether the backup has it',
      { hint: 'use another backup; MySQL 8.0.42 and later tell the right position' },
    )
  if (byPosition !== null) return byPosition.start
  const isLater = heads.slice(scan.files.length).some(({ source }) => source.name === backup.file)
  if (isLater)
    throw new RestoreError(
      'binlog_target_not_reached',
      `the target lies before the backup: it is in ${scan.stop.file}, the backup is at ${backup.file}:${backup.position}`,
      { hint: 'restore from an older backup, or name a later target' },
    )
  throw new RestoreError(
    'binlog_too_new',
    `the backup is at ${backup.file}:${backup.position}, which is not in ${scan.files[0]!.name} to ${scan.files.at(-1)!.name}`,
  )
}

/** The border at which the files hold all that the backup holds. */
async function startByGtid(scan: BinlogScan, gtid: string): Promise<Start> {
  const first = scan.files[0]!
  const { family } = first.format
  const held = parseSet(gtid)
  if (held === null || (held.family ?? family) !== family)
    throw new RestoreError(
      'binlog_foreign',
      `the backup's GTID ${gtid} is not one of the server that wrote ${first.name}`,
    )
  const earlier = subtractSet(positionOf(first.previous ?? EMPTY_SET, family), held.set)
  if (earlier.size > 0) {
    const isForeign = held.set.size > 0 && ![...held.set.keys()].some(stream => first.previous!.has(stream))
    throw new RestoreError(
      isForeign ? 'binlog_foreign' : 'binlog_too_new',
      `${first.name} begins after ${formatSet(earlier, family)}, and the backup has ${gtid || 'no transaction'}`,
    )
  }
  const index = scan.files.findIndex(({ after }) => containsSet(after!, held.set))
  if (index < 0) {
    const last = scan.files.at(-1)!
    const missing = formatSet(subtractSet(held.set, last.after!), family)
    const isForeign = ![...held.set.keys()].some(stream => last.after!.has(stream))
    throw new RestoreError(
      isForeign ? 'binlog_foreign' : 'binlog_target_not_reached',
      `the backup has ${missing}, which the binlogs up to ${scan.stop.file}:${scan.stop.position} do not have`,
      isForeign
        ? {}
        : { hint: 'the binlogs end, or the target lies, before the backup: give later ones, or a later target' },
    )
  }
  const found = await borderIn(scan.files[index]!, (_, state) => holds(state, held.set))
  const ahead = subtractSet(positionOf(found.state, family), held.set)
  if (ahead.size > 0)
    throw new RestoreError(
      'binlog_fork',
      `the binlogs have ${formatSet(ahead, family)} before they have all of the backup's GTID ${gtid}, which does not`,
    )
  return startAt(scan.files, index, found.next?.start ?? found.end, found)
}

/**
 * The first border at or after the backup's offset. An offset inside a transaction, which MySQL before 8.0.42 tells
 * (bug 32442772), gives two: `start` before it and `next` after it. Null where the file is not among those scanned.
 */
async function startByPosition(
  scan: BinlogScan,
  { file, position }: BackupPosition,
): Promise<{ start: Start; next: Place | null } | null> {
  const index = file === null ? -1 : indexOf(scan.files, file)
  if (index < 0 || position === null) return null
  const scanned = scan.files[index]!
  if (scanned.crc32 !== null && position > scanned.bytes)
    throw new RestoreError(
      'binlog_too_new',
      `the backup is at ${file}:${position}, and ${file} ends at ${scanned.bytes}`,
      {
        hint: 'give the binlog as it was when the backup was made, or later; a file of that name may be of another server',
      },
    )
  const found = await borderIn(scanned, group => group.end > position)
  const start = startAt(scan.files, index, found.next?.start ?? found.end, found)
  const isInside = found.next !== null && found.next.start < position
  return { start, next: isInside ? atNextGroup(scan.files, index, found.next!.end) : null }
}

interface Found {
  state: GtidSet
  before: Group | null
  next: Group | null
  end: number
}

/** Reads a file up to the first group that `isAfter` a border. */
async function borderIn(
  file: ScannedFile,
  isAfter: (group: Group, state: ReturnType<typeof gtidState>) => boolean,
): Promise<Found> {
  const state = gtidState(file.format.family, file.previous ?? EMPTY_SET)
  let before: Group | null = null
  let next: Group | null = null
  const reader = createBinlogReader(group => {
    if (next !== null) return
    if (isAfter(group, state)) {
      next = group
      return
    }
    if (group.gtid !== null) state.add(group.gtid)
    before = group
  })
  for await (const chunk of file.source.chunks()) {
    if (reader.push(chunk) !== null && next === null) throw damaged(file.name, reader.damage()!)
    if (next !== null) break
  }
  return { state: state.set(), before, next, end: reader.summary().lastGroup }
}

function startAt(files: readonly ScannedFile[], index: number, position: number, { state, before }: Found): Start {
  const place = atNextGroup(files, index, position)
  const file = files[place.index]!
  const earlier = files.slice(0, index).findLast(({ lastCommitAtMs }) => lastCommitAtMs !== null)
  return {
    ...place,
    file,
    state: file.after === null ? null : state,
    before: before ?? (earlier ? { gtid: null, committedAtMs: earlier.lastCommitAtMs! } : null),
  }
}

/** A border after a file's last group is the same as that before the next file's first one. */
function atNextGroup(files: readonly ScannedFile[], index: number, position: number): Place {
  const next = files[index + 1]
  if (next === undefined || position < files[index]!.lastGroup) return { index, position }
  return atNextGroup(files, index + 1, next.firstGroup)
}
