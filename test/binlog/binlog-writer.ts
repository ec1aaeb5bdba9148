import { crc32 } from 'node:zlib'
import type { BinlogSource } from '../../src/binlog/scan.ts'

/** Writes binlogs as MySQL 8 and MariaDB 10.11 do, as far as a plan looks at them. */

export interface WrittenFile {
  name: string
  bytes: Buffer
}

export const UUID_A = 'aaaaaaaa-0000-0000-0000-000000000001'
export const UUID_B = 'bbbbbbbb-0000-0000-0000-000000000002'
export const UUID_C = 'cccccccc-0000-0000-0000-000000000003'
export const UUID_D = 'dddddddd-0000-0000-0000-000000000004'

/** Files as sources, in chunks of `chunkBytes`. */
export const sourcesOf = (files: readonly (WrittenFile & { key?: string })[], chunkBytes = 1 << 16): BinlogSource[] =>
  files.map(({ name, key = name, bytes }) => ({
    key,
    name,
    async *chunks() {
      for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
    },
  }))

export type Family = 'mysql' | 'mariadb'

export interface WriterOptions {
  family?: Family
  serverId?: number
  checksums?: boolean
  /** MySQL alone: anonymous transactions, as with gtid_mode=OFF. */
  anonymous?: boolean
  /** MySQL: the source's UUID. */
  uuid?: string
  /** MariaDB. */
  domain?: number
}

/** One binlog, written event by event. */
export function binlogWriter(
  previous: readonly (readonly [stream: string, last: number])[],
  {
    family = 'mysql',
    serverId = 1,
    checksums = true,
    anonymous = false,
    uuid = UUID_A,
    domain = 0,
  }: WriterOptions = {},
) {
  const parts: Buffer[] = [Buffer.from('\xfebin', 'latin1')]
  let at = 4
  function add(type: number, timeS: number, body: Buffer, flags = 0, withChecksum = checksums): void {
    const size = 19 + body.length + (withChecksum ? 4 : 0)
    const event = Buffer.alloc(size)
    event.writeUInt32LE(timeS, 0)
    event[4] = type
    event.writeUInt32LE(serverId, 5)
    event.writeUInt32LE(size, 9)
    event.writeUInt32LE(at + size, 13)
    event.writeUInt16LE(flags, 17)
    body.copy(event, 19)
    if (withChecksum) event.writeUInt32LE(crc32(event.subarray(0, size - 4)), size - 4)
    parts.push(event)
    at += size
  }
  const format = Buffer.alloc(57 + 41 + 1)
  format.writeUInt16LE(4, 0)
  format.write(family === 'mysql' ? '8.0.36' : '10.11.19-MariaDB-log', 2)
  format[56] = 19
  format[format.length - 1] = checksums ? 1 : 0
  // Its own checksum is there whether or not others have one.
  add(15, 0, format, 0, true)
  if (family === 'mysql') add(35, 0, previousGtids(previous))
  else add(163, 0, gtidList(previous))

  const begin = (number: number, timeS: number, xaFlags = 0, xid: Buffer = Buffer.alloc(0), standalone = false) => {
    if (family === 'mysql') {
      const body = Buffer.alloc(42)
      if (!anonymous) uuidBytes(uuid).copy(body, 1)
      body.writeBigInt64LE(BigInt(anonymous ? 0 : number), 17)
      add(anonymous ? 34 : 33, timeS, body)
    } else {
      const body = Buffer.alloc(Math.max(19, 13 + xid.length))
      body.writeBigUInt64LE(BigInt(number), 0)
      body.writeUInt32LE(domain, 8)
      body[12] = xaFlags | (standalone ? 1 : 0)
      xid.copy(body, 13)
      add(162, timeS, body)
    }
  }
  const query = (statement: string, timeS: number) =>
    add(2, timeS, Buffer.concat([Buffer.alloc(8), Buffer.from([1, 0, 0, 0, 0]), Buffer.from(`d\0${statement}`)]))

  return {
    position: () => at,
    /** What follows is of another source or domain. */
    as(other: Pick<WriterOptions, 'uuid' | 'domain'>): void {
      uuid = other.uuid ?? uuid
      domain = other.domain ?? domain
    },
    add,
    query,
    /** A transaction of `rowBytes` bytes of rows, in events of at most `eventBytes` of them. */
    transaction(number: number, timeS: number, rowBytes = 40, eventBytes = 5000): void {
      begin(number, timeS)
      if (family === 'mysql') query('BEGIN', timeS)
      for (let left = rowBytes; left > 0; left -= eventBytes)
        add(30, timeS, Buffer.alloc(Math.min(left, eventBytes), number))
      add(16, timeS, Buffer.alloc(8, number))
    },
    /** A statement that is no transaction. */
    statement(number: number, timeS: number, text = 'create table d.t (i int)'): void {
      begin(number, timeS, 0, Buffer.alloc(0), true)
      query(text, timeS)
    },
    rotate(timeS: number, next: string): void {
      add(4, timeS, Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(next)]))
    },
    stop: (timeS: number) => add(3, timeS, Buffer.alloc(0)),
    bytes: () => Buffer.concat(parts),
  }
}

const uuidBytes = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex')

function previousGtids(streams: readonly (readonly [string, number])[]): Buffer {
  const count = Buffer.alloc(8)
  count.writeUInt32LE(streams.length)
  const each = streams.map(([uuid, last]) => {
    const numbers = Buffer.alloc(24)
    numbers.writeUInt32LE(1, 0)
    numbers.writeBigInt64LE(1n, 8)
    numbers.writeBigInt64LE(BigInt(last + 1), 16)
    return Buffer.concat([uuidBytes(uuid), numbers])
  })
  return Buffer.concat([count, ...each])
}

function gtidList(streams: readonly (readonly [string, number])[]): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32LE(streams.length)
  const each = streams.map(([stream, last]) => {
    const [domain, server] = stream.split('-').map(Number) as [number, number]
    const entry = Buffer.alloc(16)
    entry.writeUInt32LE(domain, 0)
    entry.writeUInt32LE(server, 4)
    entry.writeBigUInt64LE(BigInt(last), 8)
    return entry
  })
  return Buffer.concat([count, ...each])
}
