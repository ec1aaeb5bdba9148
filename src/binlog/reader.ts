/**
 * Reads one binlog file from its bytes, in chunks of any size, and tells its groups: a group is one transaction, or one
 * statement that is none. Pure. It decodes no rows; it looks into the few event types that begin or end a group and
 * checks each event's size, position and checksum.
 *
 *   FORMAT_DESCRIPTION  PREVIOUS_GTIDS | GTID_LIST  (group)*  [ROTATE | STOP]
 *
 * A group begins with a GTID event (MySQL 5.6 without GTIDs: with its first event) and ends with XID, XA_PREPARE, a
 * TRANSACTION_PAYLOAD, a QUERY that says COMMIT or ROLLBACK, or a QUERY outside BEGIN. Only whole groups are told;
 * `tailBytes` is what a server that died left after the last one.
 */
import { crc32 } from 'node:zlib'
import { checksum } from './event-checksum.ts'
import {
  type BinlogFormat,
  CHECKSUM_BYTES,
  commitTimeMs,
  EVENT,
  FEWEST_BYTES,
  FLAG_IN_USE,
  HEADER_BYTES,
  MAGIC_BYTES,
  mariadbXa,
  readFormat,
  readGtidList,
  readPreviousGtids,
  statementOf,
  uuidText,
  type XaChange,
  xaPrepareChange,
} from './events.ts'
import type { Gtid, GtidSet } from './gtid.ts'

/** One transaction, or one statement outside of any. */
export interface Group {
  /** Null where the server wrote none (anonymous, or GTIDs off). */
  gtid: Gtid | null
  /** Bytes from the start of the file: of its first event, and behind its last. */
  start: number
  end: number
  /** Unix ms. MySQL 8.0.1 and later tell the time of the commit; others, in seconds, that of the GTID event. */
  committedAtMs: number
  xa: XaChange | null
}

/** Why a file cannot be read further; `position` is the event's offset. */
export interface BinlogDamage {
  position: number
  kind: 'not_a_binlog' | 'encrypted' | 'unsupported' | 'checksum' | 'malformed'
  message: string
}

export interface FileSummary {
  /** Null only where the bytes end before it. */
  format: BinlogFormat | null
  /** What had been written before this file; null where the file does not say. */
  previous: GtidSet | null
  /** Whole events so far; the second one tells `previous`, where the server writes it. */
  events: number
  /** `rotate` and `stop`: the server finished the file. `open`: the bytes end between two groups. `cut`: inside one. */
  ending: 'rotate' | 'stop' | 'open' | 'cut'
  /** The file that follows, of a ROTATE. */
  nextFile: string | null
  bytes: number
  groups: number
  /** Those of them without a GTID. */
  anonymousGroups: number
  /** Offset of the first group, and behind the last whole one. */
  firstGroup: number
  lastGroup: number
  /** Bytes behind the last whole group that belong to none. */
  tailBytes: number
  firstCommitAtMs: number | null
  lastCommitAtMs: number | null
  /** Unix s: the largest time of any event. */
  lastEventAtS: number
}

export interface BinlogReader {
  /** Returns the damage once it was met; what comes after is not read. */
  push(chunk: Buffer): BinlogDamage | null
  damage(): BinlogDamage | null
  /** What was read so far; `format` is set unless there is damage or too few bytes came. */
  summary(): FileSummary
}

/** An event of these types is needed whole; every other one is only checked. */
const NEEDED: ReadonlySet<number> = new Set([
  EVENT.QUERY,
  EVENT.ROTATE,
  EVENT.FORMAT_DESCRIPTION,
  EVENT.MYSQL_GTID,
  EVENT.MYSQL_ANONYMOUS_GTID,
  EVENT.MYSQL_PREVIOUS_GTIDS,
  EVENT.MYSQL_GTID_TAGGED,
  EVENT.XA_PREPARE,
  EVENT.MARIADB_GTID,
  EVENT.MARIADB_GTID_LIST,
  EVENT.MARIADB_QUERY_COMPRESSED,
])
const QUERIES: ReadonlySet<number> = new Set([EVENT.QUERY, EVENT.MARIADB_QUERY_COMPRESSED])
/** Of a QUERY, only the start is needed: no status block is longer. */
const QUERY_HEAD_BYTES = 64 * 1024
/** No server writes a larger event (max_allowed_packet and binlog_row_event_max_size end at 1 GiB). */
const MOST_EVENT_BYTES = 1.1 * 2 ** 30
/** Of events that are read whole: a GTID set of 4 million intervals. */
const MOST_READ_BYTES = 64 * 2 ** 20

const SUPPORTED_FAMILIES = 'MySQL 5.6 to 9.x or MariaDB 10.x to 11.x'
const TAGGED = 'tagged GTIDs (MySQL 8.3 and later) are not supported'

export function createBinlogReader(onGroup: (group: Group) => void): BinlogReader {
  let damage: BinlogDamage | null = null
  let format: BinlogFormat | null = null
  let previous: GtidSet | null = null
  let ending: FileSummary['ending'] = 'open'
  let nextFile: string | null = null
  let events = 0
  let lastEventAtS = 0
  let groups = 0
  let anonymousGroups = 0
  let firstGroup = 0
  let lastGroup = 0
  let firstCommitAtMs: number | null = null
  let lastCommitAtMs: number | null = null

  // The group now read, and what ends it.
  let open: Group | null = null
  let ends: 'any_statement' | 'commit' = 'any_statement'

  // `carry` is the start of an event that a chunk cut. Of an event that is only checked, `skip` bytes are to come.
  let carry: Buffer | null = null
  let position = 0
  let skip = 0
  let skipType = 0
  let skipTime = 0
  let skipStart = 0
  let skipCrc = 0
  let tail: Buffer = Buffer.alloc(0)
  let checksumBytes = 0

  const fail = (at: number, kind: BinlogDamage['kind'], message: string): BinlogDamage =>
    (damage ??= { position: at, kind, message })

  function begin(start: number, gtid: Gtid | null, committedAtMs: number, xa: Group['xa'] = null): void {
    if (open !== null) fail(start, 'malformed', `a transaction begins at ${start} before that of ${open.start} ended`)
    if (gtid !== null && !(Number.isSafeInteger(gtid.number) && gtid.number > 0))
      fail(start, 'malformed', `the GTID at ${start} has the number ${gtid.number}`)
    open = { gtid, start, end: start, committedAtMs, xa }
    ends = 'any_statement'
  }

  function close(end: number, timeS: number): void {
    if (open === null) return
    open.end = end
    if (open.gtid === null) open.committedAtMs = Math.max(open.committedAtMs, timeS * 1000)
    if (groups === 0) {
      firstGroup = open.start
      firstCommitAtMs = open.committedAtMs
    }
    groups += 1
    if (open.gtid === null) anonymousGroups += 1
    lastGroup = end
    lastCommitAtMs = open.committedAtMs
    const whole = open
    open = null
    onGroup(whole)
  }

  /** An event that is whole and right. `event` is null for types that are only checked. */
  function take(type: number, timeS: number, start: number, end: number, event: Buffer | null): void {
    events += 1
    if (timeS > lastEventAtS) lastEventAtS = timeS
    switch (type) {
      case EVENT.FORMAT_DESCRIPTION:
        return
      case EVENT.ROTATE:
        ending = 'rotate'
        nextFile = event!.toString('utf8', HEADER_BYTES + 8, event!.length - checksumBytes)
        return
      case EVENT.STOP:
        ending = 'stop'
        return
      case EVENT.MYSQL_PREVIOUS_GTIDS:
      case EVENT.MARIADB_GTID_LIST: {
        const read = (type === EVENT.MARIADB_GTID_LIST ? readGtidList : readPreviousGtids)(event!, checksumBytes)
        if (read === 'tagged') fail(start, 'unsupported', TAGGED)
        else if (read === null) fail(start, 'malformed', `the set of GTIDs at ${start} cannot be read`)
        else previous = read
        return
      }
      case EVENT.MARIADB_START_ENCRYPTION:
        fail(start, 'encrypted', 'the events are encrypted')
        return
      case EVENT.MYSQL_GTID_TAGGED:
        fail(start, 'unsupported', TAGGED)
        return
      case EVENT.MYSQL_GTID:
      case EVENT.MYSQL_ANONYMOUS_GTID: {
        const gtid =
          type === EVENT.MYSQL_GTID
            ? { stream: uuidText(event!, HEADER_BYTES + 1), number: Number(event!.readBigInt64LE(HEADER_BYTES + 17)) }
            : null
        begin(start, gtid, commitTimeMs(event!, timeS, checksumBytes))
        return
      }
      case EVENT.MARIADB_GTID: {
        const number = Number(event!.readBigUInt64LE(HEADER_BYTES))
        const flags = event![HEADER_BYTES + 12]!
        begin(
          start,
          { stream: `${event!.readUInt32LE(HEADER_BYTES + 8)}-${event!.readUInt32LE(5)}`, number },
          timeS * 1000,
          mariadbXa(event!, flags),
        )
        // FL_STANDALONE: one statement without BEGIN; else BEGIN is implied.
        ends = (flags & 0x1) === 0 ? 'commit' : 'any_statement'
        return
      }
      case EVENT.XID:
      case EVENT.MYSQL_TRANSACTION_PAYLOAD:
        close(end, timeS)
        return
      case EVENT.XA_PREPARE:
        if (open !== null && open.xa === null) open.xa = xaPrepareChange(event!)
        close(end, timeS)
        return
      case EVENT.QUERY:
      case EVENT.MARIADB_QUERY_COMPRESSED:
        if (open === null) begin(start, null, timeS * 1000)
        takeStatement(type === EVENT.QUERY ? statementOf(event!, checksumBytes) : null, end, timeS)
        return
      case EVENT.INCIDENT:
        // The server lost events here; what follows does not continue what came before.
        fail(start, 'malformed', 'the server noted an INCIDENT: events were lost here')
        return
      default:
        // Rows, table maps, variables of a statement: parts of a group. Others (checkpoints, heartbeats) stand alone.
        if (open === null && STARTS_A_GROUP.has(type)) begin(start, null, timeS * 1000)
    }
  }

  /** `statement` is null where it is compressed: then it is neither BEGIN nor COMMIT, which are too short to be. */
  function takeStatement(statement: string | null, end: number, timeS: number): void {
    if (statement === 'BEGIN' || statement?.startsWith('XA START')) {
      ends = 'commit'
      return
    }
    if (ends === 'any_statement') {
      const xa = statement === null ? null : /^XA (COMMIT|ROLLBACK) (X'[^;]*)/.exec(statement)
      if (xa !== null && open !== null)
        open.xa = { id: xa[2]!.replace(/ ONE PHASE$/, ''), state: xa[1] === 'COMMIT' ? 'committed' : 'rolled_back' }
      close(end, timeS)
    } else if (statement === 'COMMIT' || statement === 'ROLLBACK') close(end, timeS)
  }

  function checkHeader(start: number, type: number, size: number, endField: number): boolean {
    const most = NEEDED.has(type) && !QUERIES.has(type) ? MOST_READ_BYTES : MOST_EVENT_BYTES
    if (size < (FEWEST_BYTES[type] ?? HEADER_BYTES) + checksumBytes || size > most) {
      fail(start, 'malformed', `an event of type ${type} says that it has ${size} bytes`)
      return false
    }
    // 0 in events of a relay log that the source did not write; else the offset behind it, modulo 2^32.
    if (endField !== 0 && endField !== (start + size) >>> 0) {
      fail(start, 'malformed', `an event at ${start} says that it ends at ${endField}, not ${(start + size) >>> 0}`)
      return false
    }
    if (format === null && type !== EVENT.FORMAT_DESCRIPTION) {
      fail(start, 'malformed', 'the first event is not a FORMAT_DESCRIPTION')
      return false
    }
    if (ending === 'rotate' || ending === 'stop') {
      fail(start, 'malformed', `an event follows the ${ending.toUpperCase()} event that ends the file`)
      return false
    }
    return true
  }

  function checkSum(start: number, type: number, found: number, said: number): boolean {
    if (found === said) return true
    fail(
      start,
      'checksum',
      `the checksum of the event at ${start} (type ${type}) is ${hex(said)}, its bytes have ${hex(found)}`,
    )
    return false
  }

  /** Reads whole events of `bytes`, which stand at `position`; returns how many of them it used. */
  function readEvents(bytes: Buffer): number {
    let at = 0
    while (damage === null && bytes.length - at >= HEADER_BYTES) {
      const start = position + at
      const type = bytes[at + 4]!
      const size = bytes.readUInt32LE(at + 9)
      if (!checkHeader(start, type, size, bytes.readUInt32LE(at + 13))) return at
      const timeS = bytes.readUInt32LE(at)
      if (bytes.length - at < size) {
        const needed = NEEDED.has(type)
        const enough = QUERIES.has(type) ? QUERY_HEAD_BYTES : size
        if (needed && bytes.length - at < Math.min(size, enough)) return at
        // Only checked: its bytes pass.
        skip = size - (bytes.length - at)
        skipType = type
        skipTime = timeS
        skipStart = start
        skipCrc = 0
        tail = Buffer.alloc(0)
        if (needed) takeHead(bytes.subarray(at))
        passBytes(bytes.subarray(at))
        return bytes.length
      }
      const end = at + size
      if (type === EVENT.FORMAT_DESCRIPTION) {
        if (!takeFormat(bytes.subarray(at, end), start)) return at
      } else if (checksumBytes > 0) {
        const found = checksum(bytes, at, end - CHECKSUM_BYTES)
        if (!checkSum(start, type, found, bytes.readUInt32LE(end - CHECKSUM_BYTES))) return at
      }
      take(type, timeS, start, start + size, NEEDED.has(type) ? bytes.subarray(at, end) : null)
      at = end
    }
    return at
  }

  let headStatement: string | null | undefined
  /** The statement of a long QUERY, from its first bytes. */
  function takeHead(head: Buffer): void {
    headStatement = skipType === EVENT.QUERY ? statementOf(head, 0) : null
  }

  /** Adds bytes of a long event to its checksum; the last 4 of the event are the checksum itself. */
  function passBytes(bytes: Buffer): void {
    const joined = tail.length > 0 ? Buffer.concat([tail, bytes]) : bytes
    const kept = Math.min(joined.length, checksumBytes)
    if (checksumBytes > 0) skipCrc = crc32(joined.subarray(0, joined.length - kept), skipCrc)
    tail = Buffer.from(joined.subarray(joined.length - kept))
  }

  function endSkipped(): void {
    if (checksumBytes > 0 && !checkSum(skipStart, skipType, skipCrc, tail.readUInt32LE(0))) return
    if (headStatement === undefined) {
      take(skipType, skipTime, skipStart, position, null)
      return
    }
    events += 1
    if (open === null) begin(skipStart, null, skipTime * 1000)
    takeStatement(headStatement, position, skipTime)
    headStatement = undefined
  }

  function takeFormat(event: Buffer, start: number): boolean {
    const found = readFormat(event)
    if (found === null) {
      fail(start, 'unsupported', `not a binlog of ${SUPPORTED_FAMILIES}`)
      return false
    }
    checksumBytes = found.hasChecksums ? CHECKSUM_BYTES : 0
    if (found.hasChecksums) {
      const said = event.readUInt32LE(event.length - CHECKSUM_BYTES)
      const closed = Buffer.from(event.subarray(0, event.length - CHECKSUM_BYTES))
      closed.writeUInt16LE(closed.readUInt16LE(17) & ~FLAG_IN_USE, 17)
      if (!checkSum(start, EVENT.FORMAT_DESCRIPTION, crc32(closed), said)) return false
    }
    format ??= found
    return true
  }

  function takeMagic(bytes: Buffer): boolean {
    const magic = bytes.toString('latin1', 0, MAGIC_BYTES)
    if (magic === '\xfebin') return true
    if (magic === '\xfdbin') fail(0, 'encrypted', 'the file is encrypted by the server (binlog_encryption)')
    else fail(0, 'not_a_binlog', 'the file does not begin as a binlog does')
    return false
  }

  return {
    push(chunk) {
      let bytes = carry === null ? chunk : Buffer.concat([carry, chunk])
      carry = null
      if (damage !== null) return damage
      if (skip > 0) {
        const passing = bytes.subarray(0, skip)
        passBytes(passing)
        skip -= passing.length
        position += passing.length
        bytes = bytes.subarray(passing.length)
        if (skip > 0) return null
        endSkipped()
      }
      if (position === 0 && bytes.length >= MAGIC_BYTES) {
        if (!takeMagic(bytes)) return damage
        bytes = bytes.subarray(MAGIC_BYTES)
        position = MAGIC_BYTES
      }
      if (position > 0 && bytes.length > 0) {
        const used = readEvents(bytes)
        position += used
        bytes = bytes.subarray(used)
      }
      if (bytes.length > 0) carry = Buffer.from(bytes)
      return damage
    },
    damage: () => damage,
    summary() {
      const bytes = position + (carry?.length ?? 0)
      const isCut = skip > 0 || (carry?.length ?? 0) > 0 || open !== null
      const tailBytes = open !== null ? bytes - open.start : skip > 0 ? bytes - skipStart : (carry?.length ?? 0)
      return {
        format,
        previous,
        events,
        ending: isCut ? 'cut' : ending,
        nextFile,
        bytes,
        groups,
        anonymousGroups,
        firstGroup: groups > 0 ? firstGroup : bytes - tailBytes,
        lastGroup: groups > 0 ? lastGroup : bytes - tailBytes,
        tailBytes,
        firstCommitAtMs,
        lastCommitAtMs,
        lastEventAtS,
      }
    },
  }
}

/** Types that come before the statement or rows of a group without GTID. */
const STARTS_A_GROUP: ReadonlySet<number> = new Set([5, 13, 14, 17, 18, 19, 22, 23, 24, 25, 29, 30, 31, 32])

const hex = (value: number): string => value.toString(16).padStart(8, '0')
