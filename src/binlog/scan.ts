/**
 * One pass over binlogs: their order, whether each continues the one before it, and where the target is. Pure: the
 * caller hands over the bytes. Memory does not grow with the files.
 *
 * Files are put in order by what each says was written before it (PREVIOUS_GTIDS, GTID_LIST), not by names, which an
 * archive may change. A file continues the one before it when that set equals what the earlier files hold. Without
 * GTIDs only names can tell: the ROTATE event's, and the numbers. The servers' own tools check none of this:
 * mariadb-binlog and the replication applier pass over a missing file in silence.
 */
import { crc32 } from 'node:zlib'
import { type ErrorCode, RestoreError } from '../errors.ts'
import { formatFirst, formatIso } from '../format.ts'
import type { BinlogFormat, XaChange } from './events.ts'
import {
  containsSet,
  EMPTY_SET,
  equalSets,
  formatSet,
  type GtidSet,
  type GtidState,
  gtidState,
  sizeOf,
  subtractSet,
} from './gtid.ts'
import { type BinlogDamage, createBinlogReader, type FileSummary, type Group } from './reader.ts'
import { formatTarget, type RecoveryTarget } from './target.ts'

/** A binlog somewhere. */
export interface BinlogSource {
  /** Where it is found at its place. */
  key: string
  /** The file name without what a compressor added. */
  name: string
  /** Its decoded bytes from the start; read once for each call. */
  chunks(): AsyncIterable<Buffer>
}

/** What the first events of a file tell. */
export interface BinlogHead {
  source: BinlogSource
  format: BinlogFormat
  previous: GtidSet | null
}

export interface ScannedFile extends FileSummary {
  source: BinlogSource
  /** As its server named it, as far as that is known: the file before it says so, else the name at its place. */
  name: string
  format: BinlogFormat
  /** Everything written up to its last group that was read; null without GTIDs. */
  after: GtidSet | null
  /** Of the whole decoded file; null where the scan ended inside it. */
  crc32: number | null
  xa: XaEffect
}

/** An offset in bytes from the start of a binlog, at which a group begins or has ended. */
export interface Border {
  file: string
  position: number
}

/** XA transactions that are prepared at the end of a range, and those ended in it that were prepared before it. */
export interface XaEffect {
  prepared: readonly string[]
  ended: readonly string[]
}

export interface BinlogScan {
  /** Those read, in order; files after the target are not. */
  files: readonly ScannedFile[]
  stop: Border
  /** The last group before `stop`, and the first one after it; null where there is none. */
  lastGroup: Group | null
  nextGroup: Group | null
  /** The binlogs end before the target, and `allowEarlier` takes what there is. */
  isShort: boolean
  /** What a person should know: a target inside a transaction, a file that ends in the middle of one. */
  notices: readonly string[]
}

/**
 * The heads of `sources`, in order; of server `serverId` alone, where given. Relay logs are left out. Throws what the
 * heads tell: no binlog at all, another family, two servers, encryption, files too short or of another form.
 */
export async function readHeads(sources: readonly BinlogSource[], serverId: number | null): Promise<BinlogHead[]> {
  const heads: BinlogHead[] = []
  for (const source of sources) {
    const head = await readHead(source)
    if (!head.format.isRelayLog && (serverId === null || head.format.serverId === serverId)) heads.push(head)
  }
  const [first] = heads
  if (first === undefined)
    throw new RestoreError(
      'binlog_gap',
      serverId === null ? 'there is no binlog' : `no binlog is of server ${serverId}`,
    )
  const ids = [...new Set(heads.map(({ format }) => format.serverId))].sort((a, b) => a - b)
  const family = heads.find(({ format }) => format.family !== first.format.family)
  if (family !== undefined)
    throw new RestoreError(
      'binlog_foreign',
      `${first.source.key} is of ${NAMES[first.format.family]}, ${family.source.key} of ${NAMES[family.format.family]}`,
    )
  if (ids.length > 1)
    throw new RestoreError(
      'binlog_foreign',
      `the binlogs are of ${ids.length} servers, with the ids ${formatFirst(ids.map(String))}`,
    )
  return heads.sort(
    (a, b) => sizeOf(a.previous ?? EMPTY_SET) - sizeOf(b.previous ?? EMPTY_SET) || compareNames(a.source, b.source),
  )
}

const NAMES = { mysql: 'MySQL', mariadb: 'MariaDB' } as const

async function readHead(source: BinlogSource): Promise<BinlogHead> {
  const reader = createBinlogReader(() => {})
  for await (const chunk of source.chunks()) {
    for (let at = 0; at < chunk.length && !isKnown(reader.summary()); at += HEAD_PIECE_BYTES) {
      const damage = reader.push(chunk.subarray(at, at + HEAD_PIECE_BYTES))
      // Damage behind the head matters only to who needs what is there.
      if (damage !== null && !isKnown(reader.summary())) throw damaged(source.key, damage)
    }
    if (isKnown(reader.summary())) break
  }
  const { format, previous, bytes } = reader.summary()
  if (format !== null) return { source, format, previous }
  throw new RestoreError('binlog_damaged', `${source.key} has ${bytes} bytes, too few for a binlog`)
}

const HEAD_PIECE_BYTES = 512
const isKnown = ({ previous, events }: FileSummary): boolean => previous !== null || events >= 3

/** By series, then number: `bin.1000000` comes after `bin.999999`. */
function compareNames(a: BinlogSource, b: BinlogSource): number {
  const [x, y] = [seriesOf(a.name), seriesOf(b.name)]
  if (x === null || y === null || x.base !== y.base) return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
  return x.number - y.number || (a.key < b.key ? -1 : 1)
}

/** `binlog.000007` is the 7th of the series `binlog`. Null for names of another form. */
export function seriesOf(name: string): { base: string; number: number } | null {
  const found = /^(.+)\.(\d{6,})$/.exec(name)
  return found && { base: found[1]!, number: Number(found[2]) }
}

/**
 * Reads files in the order of `heads` up to `target`. `from` is where the scan begins to count and to look for the
 * target, in the first file. Throws what makes a recovery wrong: `binlog_gap`, `binlog_fork`, `binlog_foreign`,
 * `binlog_damaged`, `binlog_encrypted`, `binlog_unsupported`, and `binlog_target_not_reached`, which `allowEarlier`
 * turns into a notice.
 */
export async function scanBinlogs(
  heads: readonly BinlogHead[],
  target: RecoveryTarget,
  { allowEarlier = false, from = 0 }: { allowEarlier?: boolean; from?: number } = {},
): Promise<BinlogScan> {
  const first = heads[0]!
  const { family } = first.format
  const state = gtidState(family, first.previous ?? EMPTY_SET)
  const hasGtids = first.previous !== null
  const files: ScannedFile[] = []
  const notices: string[] = []
  const isReached = (stream?: string) => target.kind === 'gtid' && hasGtids && holds(state, target.set, stream)
  let stop: Border | null = null
  let lastGroup: Group | null = null
  let nextGroup: Group | null = null
  let isShort = false
  let hasBegun = false
  let largestTimeS = 0

  for (const head of heads) {
    if (stop !== null) break
    const before = files.at(-1)
    const why = before && discontinuity(before, head)
    if (why) {
      if (!(await addsNothing(head.source, files))) throw why
      notices.push(`${head.source.key} is left out: the other binlogs have all that it has`)
      continue
    }
    const name = before?.nextFile ? baseName(before.nextFile) : head.source.name
    const xa = xaTracker()
    const counted = { groups: 0, firstGroup: 0, lastGroup: 0, firstCommitAtMs: null, lastCommitAtMs: null } as Counted
    const reader = createBinlogReader(group => {
      if (stop !== null) {
        nextGroup ??= group
        return
      }
      const counts = before !== undefined || group.start >= from
      if (counts && ((!hasBegun && isReached()) || isBeyond(target, name, group))) {
        stop = { file: name, position: counted.lastGroup || group.start }
        nextGroup = group
        if (target.kind === 'position' && group.start < target.position) notices.push(inside(target, stop))
        return
      }
      if (group.gtid !== null) state.add(group.gtid)
      lastGroup = group
      if (!counts) return
      hasBegun = true
      count(counted, group)
      xa.add(group.xa)
      if (group.gtid !== null && isReached(group.gtid.stream)) stop = { file: name, position: group.end }
    })
    let crc = 0
    let isWhole = true
    for await (const chunk of head.source.chunks()) {
      crc = crc32(chunk, crc)
      if (reader.push(chunk) === null && (stop === null || nextGroup === null)) continue
      isWhole = false
      break
    }
    const damage = reader.damage()
    if (damage !== null && stop === null) throw damaged(name, damage)
    const summary = reader.summary()
    largestTimeS = Math.max(largestTimeS, summary.lastEventAtS)
    const file: ScannedFile = {
      ...summary,
      ...(counted.groups > 0 ? counted : { ...counted, firstGroup: summary.firstGroup, lastGroup: summary.firstGroup }),
      source: head.source,
      name,
      format: head.format,
      after: hasGtids ? state.set() : null,
      crc32: isWhole ? crc : null,
      xa: xa.effect(),
    }
    if (before && summary.anonymousGroups > 0) checkFollowsByName(before, head.source)
    files.push(file)
    if (hasGtids && summary.groups > summary.anonymousGroups) await checkOnlyOne(heads, file)
    if (stop === null && target.kind === 'position' && target.file === name) {
      stop = { file: name, position: file.lastGroup }
      if (target.position > summary.bytes) {
        const message = `${name} has ${summary.bytes} bytes, so ${formatTarget(target)} is not in it`
        if (!allowEarlier) throw new RestoreError('binlog_target_not_reached', message)
        isShort = true
        notices.push(message)
      } else if (summary.ending === 'cut' && target.position > summary.bytes - summary.tailBytes)
        notices.push(inside(target, stop))
    }
  }

  const last = files.at(-1)!
  if (stop === null) {
    const isThere = isReached() || (target.kind === 'time' && largestTimeS * 1000 > target.atMs)
    notices.push(...atTheEnd(last, target, isThere, allowEarlier))
    isShort = target.kind !== 'end' && !isThere
    stop = { file: last.name, position: last.lastGroup }
  } else if (hasGtids) await checkRest(heads.slice(heads.findIndex(({ source }) => source === last.source) + 1), files)
  if (!last.format.hasChecksums)
    notices.push(`${last.name} has no checksums (binlog_checksum=NONE): damage within its events cannot be found`)
  return { files, stop, lastGroup, nextGroup, isShort, notices }
}

type Counted = Pick<FileSummary, 'groups' | 'firstGroup' | 'lastGroup' | 'firstCommitAtMs' | 'lastCommitAtMs'>

function count(counted: Counted, { start, end, committedAtMs }: Group): void {
  if (counted.groups === 0) {
    counted.firstGroup = start
    counted.firstCommitAtMs = committedAtMs
  }
  counted.groups += 1
  counted.lastGroup = end
  counted.lastCommitAtMs = committedAtMs
}

const inside = (target: RecoveryTarget, stop: Border): string =>
  `${formatTarget(target)} lies inside a transaction: apply ends before it, at ${stop.file}:${stop.position}`

/**
 * What to tell where no group ends the scan. Throws `binlog_target_not_reached` where the target is not there. A time
 * is there when an event is later: it proves that nothing committed up to that time is missing.
 */
function atTheEnd(last: ScannedFile, target: RecoveryTarget, isThere: boolean, allowEarlier: boolean): string[] {
  const notices: string[] = []
  if (target.kind !== 'end' && !isThere) {
    const isLater = target.kind !== 'position' || isLaterName(target.file, last.name)
    const until = last.lastCommitAtMs === null ? '' : ` (last commit at ${formatIso(last.lastCommitAtMs)})`
    const message = isLater
      ? `the binlogs end at ${last.name}:${last.lastGroup}${until}, before ${formatTarget(target)}`
      : `${(target as { file: string }).file} is not among the binlogs that follow the backup; they end with ${last.name}`
    if (!allowEarlier || !isLater) throw new RestoreError('binlog_target_not_reached', message)
    notices.push(message)
  }
  if (last.ending === 'cut')
    notices.push(`${last.name} ends inside a transaction, which is left out: its last ${last.tailBytes} bytes`)
  if (last.ending === 'rotate')
    notices.push(`${last.name} says that ${baseName(last.nextFile!)} follows, which is not there`)
  return notices
}

function isLaterName(a: string, b: string): boolean {
  const [x, y] = [seriesOf(a), seriesOf(b)]
  return x !== null && y !== null && x.base === y.base && x.number > y.number
}

/** Files after the target are not read, but their heads must belong to the same line of events. */
async function checkRest(rest: readonly BinlogHead[], files: readonly ScannedFile[]): Promise<void> {
  const { after, name, format } = files.at(-1)!
  for (const { source, previous } of rest) {
    if (previous === null || containsSet(previous, after!) || (await addsNothing(source, files))) continue
    const unknown = formatSet(subtractSet(after!, previous), format.family)
    throw new RestoreError(
      'binlog_fork',
      `${source.key} and ${name} are of two timelines: the server of ${source.key} never had ${unknown}`,
    )
  }
}

/** Of two files that begin at the same point, one is of the timeline; the other must have nothing of its own. */
async function checkOnlyOne(heads: readonly BinlogHead[], file: ScannedFile): Promise<void> {
  for (const { source, previous } of heads) {
    if (source === file.source || previous === null || !equalSets(previous, file.previous!)) continue
    if (await addsNothing(source, [file])) continue
    const from = formatSet(file.previous!, file.format.family) || 'nothing'
    throw new RestoreError('binlog_fork', `${file.source.key} and ${source.key} both go on from ${from}, and differ`)
  }
}

/** Whether `state` has all of `target`. A set of one `stream` that has just changed is looked at first. */
export function holds(state: GtidState, target: GtidSet, stream?: string): boolean {
  if (stream !== undefined && !target.has(stream)) return false
  for (const [name, intervals] of target)
    for (const [first, last] of intervals) if (!state.hasAll(name, first, last)) return false
  return true
}

function isBeyond(target: RecoveryTarget, file: string, group: Group): boolean {
  if (target.kind === 'time') return group.committedAtMs > target.atMs
  return target.kind === 'position' && target.file === file && group.end > target.position
}

/** Collects what a range of groups does to XA transactions. */
export function xaTracker() {
  const prepared = new Set<string>()
  const ended = new Set<string>()
  const add = (change: XaChange | null): void => {
    if (change === null) return
    if (change.state === 'prepared') prepared.add(change.id)
    else if (!prepared.delete(change.id)) ended.add(change.id)
  }
  return {
    add,
    /** What the range after this one does. */
    addRange(next: XaEffect): void {
      for (const id of next.ended) add({ id, state: 'committed' })
      for (const id of next.prepared) add({ id, state: 'prepared' })
    },
    effect: (): XaEffect => ({ prepared: [...prepared], ended: [...ended] }),
  }
}

const DAMAGE_CODES = {
  not_a_binlog: 'binlog_damaged',
  encrypted: 'binlog_encrypted',
  unsupported: 'binlog_unsupported',
  checksum: 'binlog_damaged',
  malformed: 'binlog_damaged',
} as const satisfies Record<string, ErrorCode>

export const damaged = (file: string, { position, kind, message }: BinlogDamage): RestoreError =>
  new RestoreError(DAMAGE_CODES[kind], `${file}:${position}: ${message}`)

/** Why `head` does not continue `before`; null where it does. */
function discontinuity(before: ScannedFile, { source, format, previous }: BinlogHead): RestoreError | null {
  if (before.anonymousGroups > 0 || previous === null || before.after === null) {
    if (!followsByName(before, source.name)) return notByName(before, source)
    if (before.ending === 'cut')
      return new RestoreError(
        'binlog_damaged',
        `${before.name} ends inside a transaction, and ${source.key} does not tell whether it was committed`,
      )
  }
  if (previous === null || before.after === null) return null
  const [was, is] = [seriesOf(before.name), seriesOf(source.name)]
  if (before.ending === 'rotate' && was !== null && was.base === is?.base && is.number <= was.number)
    return new RestoreError(
      'binlog_fork',
      `${before.name} is followed by ${baseName(before.nextFile!)}, not by ${source.key}`,
    )
  const text = (set: GtidSet) => formatSet(set, format.family)
  const unknown = subtractSet(before.after, previous)
  const missing = subtractSet(previous, before.after)
  if (unknown.size > 0 && previous.size > 0 && ![...previous.keys()].some(stream => before.after!.has(stream)))
    return new RestoreError('binlog_foreign', `${source.key} and ${before.name} are of two servers: they share no GTID`)
  if (unknown.size > 0)
    return new RestoreError(
      'binlog_fork',
      `${source.key} does not continue ${before.name}: its server never had ${text(unknown)}`,
    )
  if (missing.size === 0) return null
  if (before.ending === 'cut')
    return new RestoreError(
      'binlog_damaged',
      `${before.name} ends too early: ${source.key} says that ${text(missing)} came before it`,
    )
  return new RestoreError(
    'binlog_gap',
    `transactions between ${before.name} and ${source.key} are missing: ${text(missing)}`,
  )
}

/** The ROTATE event names the next file; a server that stopped without one goes on with the next number. */
function followsByName(before: ScannedFile, name: string): boolean {
  if (before.ending === 'rotate') return baseName(before.nextFile!) === name
  const [was, is] = [seriesOf(before.name), seriesOf(name)]
  return was !== null && is !== null && was.base === is.base && is.number === was.number + 1
}

function notByName(before: ScannedFile, source: BinlogSource): RestoreError {
  const next = before.ending === 'rotate' ? baseName(before.nextFile!) : 'the file with the next number'
  return new RestoreError('binlog_gap', `${before.name} is followed by ${next}, and not by ${source.key}`)
}

/** Without GTIDs, only the names tell that no file is missing. Throws `binlog_gap`. */
function checkFollowsByName(before: ScannedFile, source: BinlogSource): void {
  if (!followsByName(before, source.name)) throw notByName(before, source)
}

/** Whether a file out of line is a copy of one that was read, or has no transaction at all. */
async function addsNothing(source: BinlogSource, files: readonly ScannedFile[]): Promise<boolean> {
  const copy = await digest(source)
  if (copy === null) return false
  if (copy.groups === 0) return true
  for (const file of files) {
    const crc = file.crc32 ?? (await digest(file.source))?.crc32
    if (crc === copy.crc32) return true
  }
  return false
}

/** Null where the file is damaged or cut. */
async function digest(source: BinlogSource): Promise<{ groups: number; crc32: number } | null> {
  const reader = createBinlogReader(() => {})
  let crc = 0
  for await (const chunk of source.chunks()) {
    crc = crc32(chunk, crc)
    if (reader.push(chunk) !== null) return null
  }
  const { groups, ending } = reader.summary()
  return groups === 0 && ending === 'cut' ? null : { groups, crc32: crc }
}

/** A ROTATE event may name the file with the path that the server's configuration has. */
const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
