import { addInterval, type GtidSet, type Intervals } from './gtid.ts'

/**
 * Binlog format 4, as MySQL 5.6 to 9.x and MariaDB 10.x to 11.x write it. Every event has a header of 19 bytes:
 * time (4), type (1), server id (4), event size (4), end position modulo 2^32 (4), flags (2), and where the file's
 * FORMAT_DESCRIPTION says so ends with a CRC32 of all before. Sources: MySQL's libs/mysql/binlog/event and MariaDB's
 * sql/log_event.h.
 */
export const MAGIC_BYTES = 4
export const HEADER_BYTES = 19
export const CHECKSUM_BYTES = 4

export const EVENT = {
  QUERY: 2,
  STOP: 3,
  ROTATE: 4,
  FORMAT_DESCRIPTION: 15,
  XID: 16,
  INCIDENT: 26,
  MYSQL_GTID: 33,
  MYSQL_ANONYMOUS_GTID: 34,
  MYSQL_PREVIOUS_GTIDS: 35,
  XA_PREPARE: 38,
  MYSQL_TRANSACTION_PAYLOAD: 40,
  MYSQL_GTID_TAGGED: 42,
  MARIADB_GTID: 162,
  MARIADB_GTID_LIST: 163,
  MARIADB_START_ENCRYPTION: 164,
  MARIADB_QUERY_COMPRESSED: 165,
} as const

/** Set while a server has the file open; the checksum of FORMAT_DESCRIPTION is made without it. */
export const FLAG_IN_USE = 0x1
/** A replica sets it in the files in which it keeps its source's events. */
const FLAG_RELAY_LOG = 0x40

/** Fewest bytes of the events that are read, checksum not counted. */
export const FEWEST_BYTES: Readonly<Record<number, number>> = {
  [EVENT.QUERY]: HEADER_BYTES + 13,
  [EVENT.ROTATE]: HEADER_BYTES + 8,
  [EVENT.MYSQL_GTID]: HEADER_BYTES + 25,
  [EVENT.MYSQL_ANONYMOUS_GTID]: HEADER_BYTES + 25,
  [EVENT.MYSQL_PREVIOUS_GTIDS]: HEADER_BYTES + 8,
  [EVENT.XA_PREPARE]: HEADER_BYTES + 13,
  [EVENT.MARIADB_GTID]: HEADER_BYTES + 19,
  [EVENT.MARIADB_GTID_LIST]: HEADER_BYTES + 4,
  [EVENT.MARIADB_QUERY_COMPRESSED]: HEADER_BYTES + 13,
}

/** What the first event of a file says of all others. */
export interface BinlogFormat {
  family: 'mysql' | 'mariadb'
  /** `10.11.19-MariaDB-log`, `5.6.24-log`. */
  serverVersion: string
  serverId: number
  /** Unix s; 0 in a file that follows a rotation. */
  createdAtS: number
  hasChecksums: boolean
  /** The server has the file open, or died with it. */
  inUse: boolean
  isRelayLog: boolean
}

/** Reads FORMAT_DESCRIPTION; `event` is the whole event. Null where it is none that we can read. */
export function readFormat(event: Buffer): BinlogFormat | null {
  const body = event.subarray(HEADER_BYTES)
  if (
    event[4] !== EVENT.FORMAT_DESCRIPTION ||
    body.length < 57 ||
    body.readUInt16LE(0) !== 4 ||
    body[56] !== HEADER_BYTES
  )
    return null
  const zero = body.indexOf(0, 2)
  const serverVersion = body.toString('latin1', 2, zero === -1 ? 52 : Math.min(52, zero))
  const version = /^(\d+)\.(\d+)\.(\d+)/.exec(serverVersion)
  if (version === null) return null
  const [major, minor, patch] = version.slice(1).map(Number) as [number, number, number]
  const family = /mariadb/i.test(serverVersion) ? 'mariadb' : 'mysql'
  // From MySQL 5.6.1 and MariaDB 5.3 on, the event ends with the algorithm (1 byte) and its checksum, used or not.
  const names = family === 'mariadb' ? major * 100 + minor >= 503 : major * 10_000 + minor * 100 + patch >= 50_601
  return {
    family,
    serverVersion,
    serverId: event.readUInt32LE(5),
    createdAtS: body.readUInt32LE(52),
    hasChecksums: names && body[body.length - CHECKSUM_BYTES - 1] === 1,
    inUse: (event.readUInt16LE(17) & FLAG_IN_USE) !== 0,
    isRelayLog: (event.readUInt16LE(17) & FLAG_RELAY_LOG) !== 0,
  }
}

export function uuidText(bytes: Buffer, at: number): string {
  const text = bytes.toString('hex', at, at + 16)
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-')
}

/**
 * When a MySQL group was committed, Unix ms. From 8.0.1 on the GTID event holds it in microseconds (7 bytes, behind the
 * logical clock; the highest bit says that the time on the original source follows). Before: the event's own time.
 */
export function commitTimeMs(event: Buffer, timeS: number, checksumBytes: number): number {
  const at = HEADER_BYTES + 25
  const LOGICAL_CLOCK = 2
  if (event.length - checksumBytes < at + 17 + 7 || event[at] !== LOGICAL_CLOCK) return timeS * 1000
  const low = event.readUIntLE(at + 17, 6)
  const high = event[at + 23]! & 0x7f
  return Math.floor((high * 2 ** 48 + low) / 1000)
}

/**
 * Encoding of Gtid_set::encode: count, then for each UUID its intervals, ends exclusive. `tagged`: the encoding of sets
 * that have tags (MySQL 8.3 and later). Null where the bytes are no such set.
 */
export function readPreviousGtids(event: Buffer, checksumBytes: number): GtidSet | 'tagged' | null {
  const body = event.subarray(HEADER_BYTES, event.length - checksumBytes)
  const TAGGED = 1
  if (body[7] === TAGGED) return 'tagged'
  const set = new Map<string, Intervals>()
  let at = 8
  for (let streams = body.readUInt32LE(0); streams > 0; streams--) {
    if (at + 24 > body.length) return null
    const stream = uuidText(body, at)
    let count = body.readUInt32LE(at + 16)
    at += 24
    let intervals: Intervals = []
    for (; count > 0 && at + 16 <= body.length; count--, at += 16) {
      const [first, end] = [Number(body.readBigInt64LE(at)), Number(body.readBigInt64LE(at + 8))]
      if (first < 1 || end <= first) return null
      intervals = addInterval(intervals, first, end - 1)
    }
    if (count > 0) return null
    set.set(stream, intervals)
  }
  return set
}

/**
 * Count (28 bits) and flags (4), then domain, server and number of the last group of each. Of a domain, the stream that
 * wrote last comes last. Null where the bytes are no such list.
 */
export function readGtidList(event: Buffer, checksumBytes: number): GtidSet | null {
  const set = new Map<string, Intervals>()
  const count = event.readUInt32LE(HEADER_BYTES) & 0x0fffffff
  const from = HEADER_BYTES + 4
  if (from + count * 16 > event.length - checksumBytes) return null
  for (let at = from; at < from + count * 16; at += 16) {
    const number = Number(event.readBigUInt64LE(at + 8))
    if (number > 0) set.set(`${event.readUInt32LE(at)}-${event.readUInt32LE(at + 4)}`, [[1, number]])
  }
  return set
}

/** The start of a QUERY's statement. */
export function statementOf(event: Buffer, checksumBytes: number): string {
  const body = event.subarray(HEADER_BYTES, event.length - checksumBytes)
  const from = 13 + body.readUInt16LE(11) + body[8]! + 1
  return body.toString('latin1', from, Math.min(body.length, from + 512)).trimEnd()
}

/** XA PREPARE leaves a transaction open; a later group of the same id ends it. */
export interface XaChange {
  /** `X'gtrid',X'bqual',format`, as XA RECOVER FORMAT='SQL' and both servers' statements write it. */
  id: string
  state: 'prepared' | 'committed' | 'rolled_back'
}

const XA_PREPARED = 0x40
const XA_COMPLETED = 0x80
const GROUP_COMMIT_ID = 0x2

/** MariaDB notes XA in the GTID event: format id, lengths of the two parts, and their bytes behind the commit id. */
export function mariadbXa(event: Buffer, flags: number): XaChange | null {
  if ((flags & (XA_PREPARED | XA_COMPLETED)) === 0) return null
  // number 8, domain 4, flags 1, commit id 8 where flagged; 6 bytes are always kept for flags to come.
  const at = HEADER_BYTES + 13 + ((flags & GROUP_COMMIT_ID) === 0 ? 0 : 8)
  return {
    id: xidText(event, at, at + 4, 1),
    state: (flags & XA_PREPARED) === 0 ? 'committed' : 'prepared',
  }
}

/** XA_PREPARE: one phase (1), format id (4), lengths (4 and 4), bytes. Null for XA COMMIT ONE PHASE, which ends it. */
export const xaPrepareChange = (event: Buffer): XaChange | null =>
  event[HEADER_BYTES] !== 0 ? null : { id: xidText(event, HEADER_BYTES + 1, HEADER_BYTES + 5, 4), state: 'prepared' }

/** `X'gtrid',X'bqual',format`, as both servers write an id in a statement. */
function xidText(event: Buffer, formatAt: number, lengthsAt: number, lengthBytes: 1 | 4): string {
  const from = lengthsAt + 2 * lengthBytes
  if (event.length < from) return ''
  const first = event.readUIntLE(lengthsAt, lengthBytes)
  const second = event.readUIntLE(lengthsAt + lengthBytes, lengthBytes)
  const part = (at: number, length: number) => `X'${event.toString('hex', at, at + length)}'`
  return `${part(from, first)},${part(from + first, second)},${event.readUInt32LE(formatAt)}`
}
