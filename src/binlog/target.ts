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

/** The four options that name a target, as given; null where not given. */
export interface TargetOptions {
  toTime: string | null
  toGtid: string | null
  toPosition: string | null
  toEnd: boolean
}

const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?(Z|[+-]\d\d:?\d\d)?$/i

/** The target asked for, by default the end. Throws `usage`. */
export function parseTarget({ toTime, toGtid, toPosition, toEnd }: TargetOptions): RecoveryTarget {
  const given = [
    toTime !== null && '--to-time',
    toGtid !== null && '--to-gtid',
    toPosition !== null && '--to-position',
    toEnd && '--to-end',
  ]
  const names = given.filter(name => name !== false)
  if (names.length > 1)
    throw new RestoreError('usage', `${names.join(' and ')} exclude each other`, { hint: 'give one target' })
  if (toTime !== null) return { kind: 'time', atMs: parseTime(toTime) }
  if (toGtid !== null) {
    const parsed = parseSet(toGtid)
    if (parsed === null || parsed.family === null)
      throw new RestoreError('usage', `--to-gtid ${toGtid} is not a GTID set`, {
        hint: "MySQL: 'uuid:1-5', MariaDB: '0-1-100'; several separated by commas",
      })
    return { kind: 'gtid', family: parsed.family, set: parsed.set, text: toGtid }
  }
  if (toPosition !== null) {
    const found = /^([^/:]+):(\d{1,15})$/.exec(toPosition)
    if (found === null)
      throw new RestoreError('usage', `--to-position ${toPosition} is not FILE:POSITION`, {
        hint: 'for example binlog.000007:1234',
      })
    return { kind: 'position', file: found[1]!, position: Number(found[2]) }
  }
  return { kind: 'end' }
}

/** ISO 8601; without a zone it is UTC. Unix ms. Throws `usage`. */
export function parseTime(text: string): number {
  const [, date, time = '00:00', zone = 'Z'] = ISO.exec(text.trim()) ?? []
  const atMs = date === undefined ? Number.NaN : Date.parse(`${date}T${time}${zone.toUpperCase()}`)
  // Date.parse takes 2026-02-31 for March 3.
  const isReal = !Number.isNaN(atMs) && new Date(`${date}T00:00Z`).toISOString().startsWith(date!)
  if (isReal) return atMs
  throw new RestoreError('usage', `--to-time ${text} is not a time in ISO 8601`, {
    hint: 'for example 2026-11-27T13:59:07Z, or 2026-11-27T14:59:07+01:00; without a zone it is UTC',
  })
}

/** The target as a plan prints it; times end with Z. */
export function formatTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'end':
      return 'the end of the binlogs'
    case 'time':
      return target.atMs % 1000 === 0 ? formatIso(target.atMs) : new Date(target.atMs).toISOString()
    case 'gtid':
      return `GTID ${target.text}`
    case 'position':
      return `${target.file}:${target.position}`
  }
}
