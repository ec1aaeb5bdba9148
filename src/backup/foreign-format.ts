/** A format that is often confused with a backup and cannot be restored: what it is and what to do. */
export interface Foreign {
  what: string
  hint: string
}

const foreign = (what: string, hint: string): Foreign => ({ what, hint })
const TAR_HINT = 'extract it and give the directory: mkdir DIR && tar -x -C DIR -f FILE'
const UNPACK = (command: string) => `unpack it in front: ${command} | restore-agent restore - …`

/** By first bytes. */
const MAGIC: readonly (readonly [magic: RegExp, is: Foreign])[] = [
  [/^age-encryption\.org\/v1/, foreign('encrypted with age', UNPACK('age -d -i KEY FILE'))],
  [/^-----BEGIN AGE ENCRYPTED FILE-----/, foreign('encrypted with age', UNPACK('age -d -i KEY FILE'))],
  [/^\xfebin/, foreign('a binary log', 'give the backup; binary logs are replayed after a restore')],
  [/^qpress10/, foreign('a qpress archive', UNPACK('qpress -dio FILE'))],
  [/^PK\x03\x04/, foreign('a zip archive', 'extract it with unzip and give the directory')],
  [/^7z\xbc\xaf\x27\x1c/, foreign('a 7z archive', 'extract it with 7z and give the directory')],
  [/^LZIP/, foreign('compressed with lzip', UNPACK('lzip -dc FILE'))],
  [/^\x89LZO/, foreign('compressed with lzop', UNPACK('lzop -dc FILE'))],
]

const SQL =
  /^(?:\ufeff|\s)*(?:\/\*M?!|-- (?:MySQL|MariaDB|Dump|Host|mysqldump|mydumper)|--\n|(?:SET|CREATE|DROP|USE|INSERT|LOCK|START|BEGIN)\s)/i

/** What the first bytes are, judged by magic number or file name; null if unknown. */
export function foreignFormat(head: Buffer, name: string): Foreign | null {
  const text = head.toString('latin1', 0, 4096)
  if (head.toString('latin1', 257, 262) === 'ustar') return tarOf(text)
  const found = MAGIC.find(([magic]) => magic.test(text))
  if (found) return found[1]
  if (SQL.test(text)) {
    return foreign('an SQL dump', 'load it into a running server with the mariadb or mysql client')
  }
  if (/\.ibb$/.test(name))
    return foreign('a binary log in InnoDB (.ibb)', 'give the backup of the server it belongs to')
  return null
}

/** The first entry of an archive that MariaDB's BACKUP SERVER writes is backup.cnf. */
function tarOf(text: string): Foreign {
  const first = text.slice(0, 100).replace(/\0.*$/s, '')
  return /^(?:\.\/)?backup\.cnf$/.test(first)
    ? foreign('a tar stream of BACKUP SERVER', 'extract it and start mariadbd with its backup.cnf, which prepares it')
    : foreign('a tar archive', TAR_HINT)
}

/**
 * What a directory without a backup's metadata is, by the paths of its files relative to it; null for anything else.
 */
export function foreignDirectory(paths: readonly string[], name: string): Foreign | null {
  const inside = paths.find(path => /^[^/]+(?:\/[^/]+)?\/(?:xtrabackup|mariadb_backup)_checkpoints(?:\.|$)/.test(path))
  if (inside) {
    const folders = paths.filter(path => /\/(?:xtrabackup|mariadb_backup)_checkpoints(?:\.|$)/.test(path))
    const backup = (path: string) => `${name}/${path.slice(0, path.lastIndexOf('/'))}`
    return folders.length === 1
      ? foreign('a directory that holds a backup', `give the backup itself: ${backup(inside)}`)
      : foreign(
          `a directory that holds ${folders.length} backups`,
          `give one of them, or the full backup and then its incrementals: ${folders.slice(0, 3).map(backup).join(', ')}`,
        )
  }
  if (paths.some(path => /(?:^|\/)MANIFEST$/.test(path)))
    return foreign(
      'a backup of Vitess, or a directory that holds some',
      "restore it with vtbackup, or give Vitess's xbstream itself",
    )
  if (paths.some(path => /(?:^|\/)ib_[0-9a-f]{16}\.log$/.test(path)))
    return foreign(
      'a directory with archived redo of MariaDB (innodb_log_archive)',
      'start MariaDB 13 or newer on the backup that it belongs to; it reads the archive itself',
    )
  if (paths.includes('backup.cnf'))
    return foreign('a backup of BACKUP SERVER', 'start mariadbd with its backup.cnf, which prepares it')
  if (paths.includes('ibdata1') && paths.some(path => /^mysql(?:\/|\.ibd$)/.test(path))) {
    return foreign(
      'the data directory of a server, not a backup of one',
      'take a backup of it with mariadb-backup or xtrabackup, or copy it while the server is stopped',
    )
  }
  const stream = paths.find(path => /\.(?:xb|xbs|xbstream|mbstream)(?:\.\w+)*$/.test(path))
  if (stream) return foreign('a directory that holds backup streams', `give one of them: ${name}/${stream}`)
  if (paths.some(path => /\.ibb$/.test(path)))
    return foreign('a directory of binary logs in InnoDB (.ibb)', 'give the backup of the server it belongs to')
  if (paths.some(path => /\.sql(?:\.\w+)?$/.test(path)))
    return foreign(
      'a directory of SQL dumps',
      'load them into a running server with the mariadb or mysql client, or myloader',
    )
  const tar = paths.find(path => /\.(?:tar|tgz)(?:\.\w+)?$/.test(path))
  return tar ? foreign('a directory that holds a tar archive', `extract ${name}/${tar} and give its directory`) : null
}
