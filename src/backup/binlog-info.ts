import { RestoreError } from '../errors.ts'

/** The binary log position a backup is consistent with; null where the tool wrote none. */
export interface BinlogPosition {
  file: string | null
  position: number | null
  /** A MySQL GTID set or a MariaDB GTID position, on one line, without blanks. */
  gtid: string | null
}

/**
 * Parses `xtrabackup_binlog_info` or `mariadb_backup_binlog_info`: file, position and GTID, tab-separated. A GTID set
 * may go on over lines; where several binlogs are listed the last one counts. Null for an empty file (binlog off).
 * Throws `source_corrupt` with file and line.
 */
export function parseBinlogInfo(text: string, file: string): BinlogPosition | null {
  let found: BinlogPosition | null = null
  let gtid = ''
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '') continue
    const match = /^([^\t]+)\t(\d+)(?:\t(.*))?$/.exec(line)
    if (match) {
      found = { file: match[1]!, position: Number(match[2]), gtid: null }
      gtid = match[3] ?? ''
    } else if (found && gtid !== '') {
      gtid += line
    } else {
      throw new RestoreError(
        'source_corrupt',
        `${file}:${index + 1} is not "file, position, GTID": ${JSON.stringify(line)}`,
      )
    }
  }
  return found && { ...found, gtid: oneLineGtid(gtid) }
}

/**
 * Parses the `binlog_pos` of the info file: `filename 'f', position 'n', GTID of the last change 'g'`, of which
 * MySQL with GTIDs and some versions leave parts out, and some leave out the quotes. Null where it says nothing.
 */
export function parseBinlogPos(text: string): BinlogPosition | null {
  const file = /\bfilename '([^']*)'/.exec(text)?.[1] || /\bfilename ([^',\s]+)/.exec(text)?.[1] || null
  const position = /\bposition '?(\d+)/.exec(text)?.[1]
  const gtid = oneLineGtid(/\bGTID of the last change '([^']*)'?/.exec(text)?.[1] ?? '')
  if (file === null && position === undefined && gtid === null) return null
  return { file, position: position === undefined ? null : Number(position), gtid }
}

function oneLineGtid(text: string): string | null {
  const gtid = text.replace(/\s+/g, '')
  return gtid === '' || gtid === '[]' ? null : gtid
}
