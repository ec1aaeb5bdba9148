/**
 * Relay logs for a server of MariaDB, made of the planned binlogs:
 *
 *   relay-bin.000001 …   one for each binlog, whole but for what belongs to no whole transaction; the last one ends
 *                        where apply ends, so nothing behind the target can ever be applied
 *   one more             its FORMAT_DESCRIPTION alone: a server sees that it has reached the end of a relay log only
 *                        when another event follows
 *   relay-bin.index      their paths; a server adds those of its own
 */
import { constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { copyFile, type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { RestoreError } from '../errors.ts'
import { RELAY_LOG } from '../tool/server-command.ts'
import { EVENT, FLAG_IN_USE, HEADER_BYTES, MAGIC_BYTES } from './events.ts'
import type { BinlogPlace } from './place.ts'
import type { RecoveryPlan } from './recovery-plan.ts'

type PlannedBinlog = Readonly<RecoveryPlan['files'][number]>

/** What of a recovery plan the relay logs follow from. */
export interface PlannedBinlogs {
  readonly files: readonly PlannedBinlog[]
}

/** A border between two transactions, in a relay log. */
export interface RelayBorder {
  /** Of the planned file, from 0. */
  index: number
  position: number
  /** What the server has there, one GTID a domain; null without GTIDs. */
  gtid: string | null
}

export const relayLogPath = (relayDir: string, index: number): string =>
  join(relayDir, `${RELAY_LOG}.${String(index + 1).padStart(6, '0')}`)

export interface CopyOptions {
  signal: AbortSignal
  /** Called with the bytes of each piece that was copied. */
  onCopied: (bytes: number) => void
}

/** Copies the planned binlogs; clones them where the file system can. Throws `source_changed`. */
export async function copyBinlogs(
  { files }: PlannedBinlogs,
  place: BinlogPlace,
  relayDir: string,
  options: CopyOptions,
): Promise<void> {
  for (const [index, planned] of files.entries()) {
    const path = relayLogPath(relayDir, index)
    rmSync(path, { force: true })
    const isLast = index === files.length - 1
    const bytes = isLast ? planned.to : planned.bytes
    const { copied, sum } = await copyOne(planned, place, path, bytes, options)
    // The sum of a file that is not copied to its end was never told, and the server checks each event.
    const differs = copied !== bytes || (planned.crc32 !== null && bytes === planned.bytes && planned.crc32 !== sum)
    if (differs)
      throw new RestoreError('source_changed', `${planned.name} in ${place.name} has changed since it was read`)
    if (!isLast) await cutAfterLast(path, planned)
  }
}

async function copyOne(
  planned: PlannedBinlog,
  place: BinlogPlace,
  path: string,
  bytes: number,
  { signal, onCopied }: CopyOptions,
): Promise<{ copied: number; sum: number }> {
  const source = place.files.find(({ key }) => key === planned.key)
  if (source === undefined) throw new RestoreError('source_changed', `${planned.name} is not in ${place.name} any more`)
  const isClone = source.path !== null && (await clone(source.path, path))
  const out = await open(path, isClone ? 'r+' : 'wx', 0o600)
  try {
    if (isClone) await out.truncate(Math.min(bytes, (await out.stat()).size))
    let copied = 0
    let sum = 0
    for await (const chunk of isClone ? out.createReadStream({ autoClose: false }) : source.chunks()) {
      signal.throwIfAborted()
      const piece = chunk.subarray(0, bytes - copied)
      sum = crc32(piece, sum)
      if (!isClone) await writeAll(out, piece)
      copied += piece.length
      onCopied(piece.length)
      if (copied >= bytes) break
    }
    return { copied, sum }
  } finally {
    await out.close()
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}

/** False where the file system cannot share the blocks of both. */
const clone = (from: string, to: string): Promise<boolean> =>
  copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL).then(
    () => true,
    () => {
      rmSync(to, { force: true })
      return false
    },
  )

/** Keeps the events behind the last transaction that end the file, and nothing of a transaction that is not whole. */
async function cutAfterLast(path: string, { to }: PlannedBinlog): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const header = Buffer.alloc(HEADER_BYTES)
    for (let at = to; at + HEADER_BYTES <= size; ) {
      await file.read(header, 0, HEADER_BYTES, at)
      at += Math.max(HEADER_BYTES, header.readUInt32LE(9))
      const type = header[4]!
      if (at <= size && (type === EVENT.ROTATE || type === EVENT.STOP)) return file.truncate(at)
    }
    await file.truncate(to)
  } finally {
    await file.close()
  }
}

/** Before each start of a server: what it wrote itself goes, and the index names the relay logs again. */
export async function resetRelayLogs({ files }: PlannedBinlogs, relayDir: string): Promise<void> {
  const paths = [...files, null].map((_, index) => relayLogPath(relayDir, index))
  const kept = new Set(paths.slice(0, -1))
  for (const name of existsSync(relayDir) ? readdirSync(relayDir) : [])
    if (!kept.has(join(relayDir, name))) rmSync(join(relayDir, name), { force: true })
  const first = await open(paths.at(-2)!)
  try {
    const head = Buffer.alloc(MAGIC_BYTES + HEADER_BYTES)
    await first.read(head, 0, head.length, 0)
    const format = Buffer.alloc(MAGIC_BYTES + head.readUInt32LE(MAGIC_BYTES + 9))
    await first.read(format, 0, format.length, 0)
    const flags = MAGIC_BYTES + 17
    format.writeUInt16LE(format.readUInt16LE(flags) & ~FLAG_IN_USE, flags)
    writeFileSync(paths.at(-1)!, format, { mode: 0o600 })
  } finally {
    await first.close()
  }
  writeFileSync(join(relayDir, `${RELAY_LOG}.index`), paths.map(path => `${path}\n`).join(''), { mode: 0o600 })
}

/**
 * What makes the server apply from `start` to the end of the relay logs; for its init file, one statement a line.
 * Without MASTER_LOG_FILE, MariaDB 10.11 dies with SIGSEGV as soon as a parallel worker commits.
 */
export function applyStatements({ files }: PlannedBinlogs, start: RelayBorder): string {
  const relayLog = (index: number) => quoted(relayLogPath('', index))
  const from = [
    "MASTER_HOST='none'",
    `MASTER_LOG_FILE=${quoted(files[start.index]!.name)}`,
    `MASTER_LOG_POS=${start.position}`,
    `RELAY_LOG_FILE=${relayLog(start.index)}`,
    `RELAY_LOG_POS=${start.position}`,
  ]
  return [
    ...(start.gtid === null ? [] : [`SET GLOBAL gtid_slave_pos=${quoted(start.gtid)};`]),
    `CHANGE MASTER TO ${from.join(', ')};`,
    `START SLAVE SQL_THREAD UNTIL RELAY_LOG_FILE=${relayLog(files.length)}, RELAY_LOG_POS=${MAGIC_BYTES};`,
    '',
  ].join('\n')
}

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`
