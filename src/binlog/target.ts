import { RestoreError } from '../errors.ts'
import { formatIso } from '../format.ts'
import { type GtidFamily, type GtidSet, parseSet } from './gtid.ts'

/** Where a point-in-time recovery ends. */
export type RecoveryTarget =
  /** The last whole transaction there is. */
  | { kind: 'end' }
  /** Every transaction committed at or before this Unix time in ms, up to the first that is later. */
  | { kind: 'time'; atMs: number }
  /** The first point at which all of these transactions are applied. */
  | { kind: 'gtid'; family: GtidFamily; set: GtidSet; text: string }
  /** Every event of this file that ends at or before this offset in bytes. */
  | { kind: 'position'; file: string; position: number }

/** The four options that name a target; null where not given. */
export interface TargetOptions {
  /** Unix ms. */
  toTime: number | null
  toGtid: string | null
  /** FILE:POSITION */
  toPosition: string | null
  toEnd: boolean
}

/** The target asked for, by default the end. Throws `usage` where two are given or one is of no known form. */
export function parseTarget({ toTime, toGtid, toPosition, toEnd }: TargetOptions): RecoveryTarget {
  const given = [
    toTime !== null && '--to-time',
    toGtid !== null && '--to-gtid',
    toPosition !== null && '--to-position',
    toEnd && '--to-end',
  ].filter(name => name !== false)
  if (given.length > 1)
    throw new RestoreError('usage', `${given.join(' and ')} exclude each other`, { hint: 'give one target' })
  const target =
    toTime !== null
      ? ({ kind: 'time', atMs: toTime } as const)
      : toGtid !== null
        ? parseGtidTarget(toGtid)
        : toPosition !== null
          ? parsePosition(toPosition)
          : ({ kind: 'end' } as const)
  if (target !== null) return target
  throw new RestoreError('usage', `${given[0]} ${toGtid ?? toPosition} is not ${toGtid === null ? POSITION : GTID}`)
}

export const GTID = "a GTID set: MySQL's uuid:1-5 or MariaDB's 0-1-100, several separated by commas"
export const POSITION = 'FILE:POSITION, such as binlog.000007:1234'

export function parseGtidTarget(text: string): RecoveryTarget | null {
  const parsed = parseSet(text)
  if (parsed === null || parsed.family === null) return null
  return { kind: 'gtid', family: parsed.family, set: parsed.set, text: text.replace(/\s+/g, '') }
}

export function parsePosition(text: string): RecoveryTarget | null {
  const found = /^([^/:]+):(\d{1,15})$/.exec(text)
  return found && { kind: 'position', file: found[1]!, position: Number(found[2]) }
}

/** The target as a plan prints it; times end with Z. */
export function formatTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'end':
      return 'the end of the binlogs'
    case 'time':
      return formatTime(target.atMs)
    case 'gtid':
      return `GTID ${target.text}`
    case 'position':
      return `${target.file}:${target.position}`
  }
}

/** `2026-11-27T13:59:07Z`, with milliseconds where there are any. */
export const formatTime = (atMs: number): string => (atMs % 1000 === 0 ? formatIso(atMs) : new Date(atMs).toISOString())
