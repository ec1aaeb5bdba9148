/**
 * What a server that was killed while it applied may have done without saying so. Changes of transactional tables are
 * undone by its recovery, and gtid_slave_pos tells which were committed. A statement on any other table, a definition
 * of a table, and temporary tables are in no transaction: done twice or not at all, the data would differ.
 *
 * Such a statement begins when all before it are committed and relay-log.info has been written. Of a file that changed
 * before that, its statement has ended.
 */
import { readdirSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { RELAY_LOG_INFO } from '../tool/server-command.ts'
import { EVENT, HEADER_BYTES } from './events.ts'
import { type RelayBorder, relayLogPath } from './relay-logs.ts'

/** Of MyISAM, Aria, CSV, ARCHIVE and MERGE; definitions of tables, views, triggers and databases. */
const NOT_IN_A_TRANSACTION = /^(?!#sql).*\.(?:MYD|MYI|MAD|MAI|CSV|CSM|ARZ|MRG|frm|par|TRG|TRN|opt)$/
/** A temporary table of a session; those of a statement have other names. */
const TEMPORARY_TABLE = /^#sql-?temptable.*\.frm$/
/** A transaction's own commit may be noted in relay-log.info a little after the next statement has begun. */
const NOTED_LATE_MS = 200

export interface UnsafeChanges {
  /** Paths in the datadir with the time of their last change, newest first. */
  files: readonly { path: string; changedMs: number }[]
  hasTemporaryTables: boolean
  /** When the position was noted last. */
  notedMs: number
}

/**
 * To be asked before another server starts on the datadir: it removes temporary tables and repairs others. Null where
 * nothing was applied yet.
 */
export function unsafeChanges(datadir: string, relayDir: string): UnsafeChanges | null {
  const noted = statSync(join(relayDir, RELAY_LOG_INFO), { throwIfNoEntry: false })
  if (noted === undefined) return null
  const files: { path: string; changedMs: number }[] = []
  let hasTemporaryTables = false
  for (const entry of readdirSync(datadir, { withFileTypes: true })) {
    if (TEMPORARY_TABLE.test(entry.name)) hasTemporaryTables = true
    if (!entry.isDirectory()) continue
    for (const name of readdirSync(join(datadir, entry.name))) {
      if (!NOT_IN_A_TRANSACTION.test(name)) continue
      const path = join(entry.name, name)
      const changedMs = statSync(join(datadir, path), { throwIfNoEntry: false })?.mtimeMs ?? 0
      if (changedMs >= noted.mtimeMs - NOTED_LATE_MS) files.push({ path, changedMs })
    }
  }
  files.sort((a, b) => b.changedMs - a.changedMs)
  return { files, hasTemporaryTables, notedMs: noted.mtimeMs }
}

/** FL_TRANSACTIONAL of the GTID event. */
const TRANSACTIONAL = 0x4

/** Why apply cannot go on from `border`; null where it can. */
export async function whyUnsafe(
  changes: UnsafeChanges | null,
  relayDir: string,
  border: RelayBorder,
): Promise<string | null> {
  if (changes === null) return null
  if (changes.hasTemporaryTables) return 'temporary tables of the applied sessions were lost'
  const sinceMs = (await isTransactional(relayDir, border)) ? changes.notedMs : 0
  const changed = changes.files.filter(({ changedMs }) => changedMs >= sinceMs)
  if (changed.length === 0) return null
  const names = changed.slice(0, 3).map(({ path }) => path)
  return `it was changing what no transaction covers (${names.join(', ')})`
}

/** Whether the transaction behind the border says that it has transactional changes only. */
async function isTransactional(relayDir: string, { index, position }: RelayBorder): Promise<boolean> {
  const file = await open(relayLogPath(relayDir, index))
  try {
    const event = Buffer.alloc(HEADER_BYTES + 13)
    for (let at = position; (await file.read(event, 0, event.length, at)).bytesRead === event.length; ) {
      if (event[4] === EVENT.MARIADB_GTID) return (event[HEADER_BYTES + 12]! & TRANSACTIONAL) !== 0
      at += Math.max(HEADER_BYTES, event.readUInt32LE(9))
    }
    return false // the next one is in the next file
  } finally {
    await file.close()
  }
}
