import { crc32 } from 'node:zlib'

/** Writes xbstream chunks byte by byte from the format's description, apart from the parser under test. */
export interface ChunkOptions {
  flags?: number
  offset?: number
  crc?: number
}

function prefix(type: string, path: string, flags = 0): Buffer {
  const name = Buffer.from(path)
  const fixed = Buffer.alloc(14)
  fixed.write('XBSTCK01')
  fixed[8] = flags
  fixed.write(type, 9, 'latin1')
  fixed.writeUInt32LE(name.length, 10)
  return Buffer.concat([fixed, name])
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export function payload(path: string, data: Buffer | string, options: ChunkOptions = {}): Buffer {
  const bytes = Buffer.from(data)
  const crc = options.crc ?? crc32(bytes)
  return Buffer.concat([prefix('P', path, options.flags), u64(bytes.length), u64(options.offset ?? 0), u32(crc), bytes])
}

export function sparse(
  path: string,
  entries: readonly (readonly [skip: number, length: number])[],
  data: Buffer,
): Buffer {
  const map = Buffer.concat(entries.map(([skip, length]) => Buffer.concat([u32(skip), u32(length)])))
  const sum = crc32(data, crc32(map))
  return Buffer.concat([prefix('S', path), u32(entries.length), u64(data.length), u64(0), u32(sum), map, data])
}

export const end = (path: string): Buffer => prefix('E', path)
export const remove = (path: string): Buffer => prefix('D', path)
export const seek = (path: string, offset: number): Buffer => Buffer.concat([prefix('S', path), u64(offset)])
export const rename = (path: string, to: string): Buffer =>
  Buffer.concat([prefix('R', path), u32(Buffer.byteLength(to)), Buffer.from(to)])
export const unknownChunk = (type: string, path: string, flags: number, data: Buffer): Buffer =>
  Buffer.concat([prefix(type, path, flags), u64(data.length), u64(0), u32(crc32(data)), data])

/** A whole file: its data in pieces of at most `pieceBytes`, and its end. */
export function file(path: string, data: Buffer | string, pieceBytes = 65_536): Buffer {
  const bytes = Buffer.from(data)
  const chunks: Buffer[] = []
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
    chunks.push(payload(path, bytes.subarray(offset, offset + pieceBytes), { offset }))
  }
  return Buffer.concat([...chunks, end(path)])
}

export const CHECKPOINTS = `backup_type = full-backuped
from_lsn = 0
to_lsn = 4031402
last_lsn = 4033961
recover_binlog_info = 0
`
export const INFO = `uuid = 6f0f901c-e766-11f1-92da-02fc00000001
name = 
tool_name = mariadb-backup
tool_version = 10.11.19-MariaDB
server_version = 10.11.19-MariaDB-0+deb12u1-log
binlog_pos = filename 'binlog.000001', position '3500830', GTID of the last change '0-1-17'
incremental = N
format = mbstream
compressed = N
`
export const CONFIG = '[mysqld]\ninnodb_page_size=16384\n'

export interface BackupFiles {
  checkpoints?: string
  info?: string
  data?: Buffer
}

/** The files of a small MariaDB backup in the order its tool streams them. */
export const backupFiles = ({
  checkpoints = CHECKPOINTS,
  info = INFO,
  data = Buffer.alloc(200_000, 7),
}: BackupFiles = {}): [string, Buffer | string][] => [
  ['aria_log_control', Buffer.alloc(52)],
  ['ibdata1', data],
  ['app1/t1.ibd', data.subarray(0, 100_000)],
  ['mysql/slow_log.CSV', ''],
  ['xtrabackup_binlog_info', 'binlog.000001\t3500830\t0-1-17\n'],
  ['ib_logfile0', Buffer.alloc(14_847)],
  ['xtrabackup_checkpoints', checkpoints],
  ['backup-my.cnf', CONFIG],
  ['xtrabackup_info', info],
]

export const backupStream = (files: BackupFiles = {}): Buffer =>
  Buffer.concat(backupFiles(files).map(([path, data]) => file(path, data)))
