import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type BinlogPosition, parseBinlogInfo } from '../../backup/binlog-info.ts'
import { parseInfo } from '../../backup/info.ts'
import { equalSets, type GtidFamily, gtidText, parseSet } from '../../binlog/gtid.ts'
import { type BinlogPlace, openBinlogs } from '../../binlog/place.ts'
import { headsFrom, planRecovery, type RecoveryPlan } from '../../binlog/recovery-plan.ts'
import { type BinlogHead, type BinlogScan, type BinlogSource, readHeads, scanBinlogs } from '../../binlog/scan.ts'
import { formatTarget, formatTime, parseTarget, type RecoveryTarget } from '../../binlog/target.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes, formatFirst } from '../../format.ts'
import { existingAncestor, freeBytes, readAtMost } from '../../process/file-system.ts'
import type { PlanElement } from './plan.ts'

/**
 * The plan of a point-in-time recovery is made in two steps. Before anything is extracted: what the binlogs alone tell,
 * and all of it where the backup's position is known already. After the extract: where to begin.
 */
export interface BinlogLook {
  target: RecoveryTarget
  heads: readonly BinlogHead[]
  scan: BinlogScan
  /** Null while the position of the backup is not known. */
  plan: RecoveryPlan | null
  notices: readonly string[]
}

/** What of the parts of a plan tells how binlogs are applied. */
interface Parts {
  options: RestoreOptions
  elements: readonly Pick<PlanElement, 'name' | 'source' | 'description'>[]
  family: { family: NonNullable<PlanElement['description']['family']> }
}

/**
 * Reads the binlogs before the extract. Throws what `scanBinlogs` and `planRecovery` throw, `binlog_foreign` for
 * binlogs of another family than the backup's, and `disk_space`.
 */
export async function lookAtBinlogs(parts: Parts, signal: AbortSignal): Promise<BinlogLook> {
  const { options, elements } = parts
  const last = elements.at(-1)!
  const directory = last.source.kind === 'directory' ? last.source.path : null
  const position = directory === null ? last.description.binlog : positionOf(directory)
  const look = await withBinlogs(options, async place => {
    const target = parseTarget(options)
    const heads = await readHeads(abortableFiles(place, signal), options.binlogServerId)
    checkFamily(parts, heads)
    const needed = position === null ? heads : headsFrom(heads, position)
    const { allowEarlier } = options
    const scan = await scanBinlogs(needed, target, { allowEarlier })
    const plan = position === null ? null : await planRecovery(needed, scan, target, position, allowEarlier)
    return { target, heads: needed, scan, plan }
  })
  const notices = [...(look.plan ?? look.scan).notices, ...checkRoom(options, look.scan, look.plan)]
  return { ...look, notices }
}

/**
 * The plan once the last element is extracted into `directory`. `look` is what the same agent has seen before; without
 * it the binlogs are read again. Null where none are to be applied.
 */
export async function planBinlogs(
  parts: Parts & { look: BinlogLook | null },
  directory: string,
  signal: AbortSignal,
): Promise<RecoveryPlan | null> {
  const { options } = parts
  if (options.binlogs === null) return null
  const position = positionOf(directory)
  if (position === null) {
    const { name } = parts.elements.at(-1)!
    throw new RestoreError('binlog_position_unknown', `${name} does not tell its position in the binlogs`)
  }
  const look = parts.look ?? (await lookAtBinlogs(parts, signal))
  if (look.plan !== null) return look.plan
  const plan = await withBinlogs(options, async place => {
    const files = new Map(abortableFiles(place, signal).map(file => [file.key, file]))
    const reopened = look.heads.map(head => ({ ...head, source: files.get(head.source.key) ?? head.source }))
    const scan = {
      ...look.scan,
      files: look.scan.files.map(file => ({ ...file, source: files.get(file.source.key)! })),
    }
    return planRecovery(reopened, scan, look.target, position, options.allowEarlier)
  })
  checkRoom(options, look.scan, plan)
  return plan
}

async function withBinlogs<T>(options: RestoreOptions, work: (place: BinlogPlace) => Promise<T>): Promise<T> {
  const place = await openBinlogs(options.binlogs!, options)
  try {
    return await work(place)
  } finally {
    await place.close()
  }
}

/** Reading ends between two chunks once the restore is cancelled. */
const abortableFiles = ({ files }: BinlogPlace, signal: AbortSignal): BinlogSource[] =>
  files.map(file => ({
    key: file.key,
    name: file.name,
    async *chunks() {
      for await (const chunk of file.chunks()) {
        signal.throwIfAborted()
        yield chunk
      }
    },
  }))

const INFO_FILES = ['xtrabackup_info', 'mariadb_backup_info']
const POSITION_FILES = ['xtrabackup_binlog_info', 'mariadb_backup_binlog_info']
const LARGEST_BYTES = 16 << 20

/**
 * The position that the metadata files of an extracted backup tell; null where they tell none. Throws
 * `binlog_position_conflict` where two of them disagree.
 */
export function positionOf(directory: string): BinlogPosition | null {
  const read = (name: string) => readAtMost(join(directory, name), LARGEST_BYTES).toString()
  const found: { name: string; position: BinlogPosition }[] = []
  for (const name of [...POSITION_FILES, ...INFO_FILES]) {
    if (!existsSync(join(directory, name))) continue
    const isInfo = INFO_FILES.includes(name)
    const position = isInfo ? parseInfo(read(name), name).binlog : parseBinlogInfo(read(name), name)
    if (position !== null) found.push({ name, position })
  }
  const [first, ...others] = found
  if (first === undefined) return null
  for (const { name, position } of others)
    if (!agree(first.position, position))
      throw new RestoreError(
        'binlog_position_conflict',
        `${directory}: ${first.name} has the position ${textOf(first.position)}, ${name} has ${textOf(position)}`,
      )
  const of = <K extends keyof BinlogPosition>(key: K) =>
    found.find(({ position }) => position[key] !== null)?.position[key] ?? null
  return { file: of('file'), position: of('position'), gtid: of('gtid') }
}

/** What one of them does not tell is no disagreement. */
function agree(a: BinlogPosition, b: BinlogPosition): boolean {
  const isOther = (x: unknown, y: unknown) => x !== null && y !== null && x !== y
  if (isOther(a.file, b.file) || isOther(a.position, b.position)) return false
  const [x, y] = [a, b].map(({ gtid }) => (gtid === null ? null : parseSet(gtid)))
  return !x || !y || equalSets(x.set, y.set)
}

const textOf = ({ file, position, gtid }: BinlogPosition): string =>
  [file === null ? null : `${file}:${position}`, gtid].filter(Boolean).join(' and ')

/** Throws `binlog_foreign`. */
function checkFamily({ elements, family }: Parts, heads: readonly BinlogHead[]): void {
  const { name, serverVersion } = elements.at(-1)!.description
  const isMariadb = serverVersion === null ? family.family === 'mariadb-backup' : /mariadb/i.test(serverVersion)
  const wanted: GtidFamily = isMariadb ? 'mariadb' : 'mysql'
  const found = heads[0]!.format
  if (found.family === wanted) return
  const words = { mysql: 'MySQL', mariadb: 'MariaDB' }
  throw new RestoreError(
    'binlog_foreign',
    `${name} is of ${words[wanted]}, and the binlogs are of ${words[found.family]} ${found.serverVersion}`,
    { hint: 'give the binlogs of the server that was backed up' },
  )
}

/**
 * Room for the relay logs beside the datadir. Throws `disk_space` where what is needed for certain does not fit.
 * Returns a notice where all the binlogs do not, and the backup does not tell yet which of them are needed.
 */
function checkRoom({ datadir }: RestoreOptions, scan: BinlogScan, plan: RecoveryPlan | null): string[] {
  const place = existingAncestor(dirname(datadir))
  const free = freeBytes(place)
  const bytesOf = (files: readonly { bytes: number }[]) => files.reduce((sum, { bytes }) => sum + bytes, 0)
  const least = plan === null ? bytesOf(scan.files.slice(-1)) : bytesOf(plan.files)
  if (least > free)
    throw new RestoreError(
      'disk_space',
      `the relay logs beside ${datadir} need ${formatBytes(least)}, ${formatBytes(free)} are free`,
    )
  const all = bytesOf(scan.files)
  if (plan !== null || all <= free) return []
  return [
    `the binlogs have ${formatBytes(all)}, ${formatBytes(free)} are free beside ${datadir}: only those after the ` +
      'backup are needed, and its position is not known before it is extracted',
  ]
}

/** What --dry-run prints of binlogs. */
export function binlogLines({ scan, target, plan }: BinlogLook): string[] {
  const files = plan?.files ?? scan.files
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  const border = ({ file, position, gtid }: { file: string; position: number; gtid?: string | null }) =>
    `${file}:${position}${gtid ? `, GTID ${gtid}` : ''}`
  const asOf = plan?.dataAsOfMs ?? scan.lastGroup?.committedAtMs ?? null
  const left = scan.nextGroup
  return [
    `binlogs  ${formatFirst(
      files.map(({ name }) => name),
      3,
    )}: ${files.length} files, ${formatBytes(bytes)}`,
    `target   ${formatTarget(target)}`,
    `begin    ${plan === null ? 'not known before the backup is extracted' : border(plan.start)}`,
    `end      ${border(plan?.stop ?? scan.stop)}${asOf === null ? '' : `, data as of ${formatTime(asOf)}`}`,
    ...(plan === null ? [] : [`apply    ${plan.transactions} transactions, ${formatBytes(plan.bytes)}`]),
    ...(left === null
      ? []
      : [
          `left out from ${left.gtid ? gtidText(left.gtid) : 'a transaction'} on, of ${formatTime(left.committedAtMs)}`,
        ]),
  ]
}
