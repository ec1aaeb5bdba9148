import type { ToolFamilyName } from './family.ts'
import { type InnerCompression, splitFileName } from './file-name.ts'

/** Facts that follow from file names, taken one after the other; null while no name decided. */
export interface NameFacts {
  innerCompression: InnerCompression | null
  innerEncryption: boolean
  /** Only an incremental has `.delta` and `.meta`; only a full has an InnoDB file without them. */
  kind: 'full' | 'incremental' | null
  /** The family that alone writes such a file. */
  family: ToolFamilyName | null
  /** A file of the `mysql` schema: users, rights, and the server's own tables. */
  hasMysqlSchema: boolean
  /** Of the longest path that a restored file has in its datadir; 0 before the first. */
  longestNameBytes: number
}

export const NO_NAMES: NameFacts = {
  innerCompression: null,
  innerEncryption: false,
  kind: null,
  family: null,
  hasMysqlSchema: false,
  longestNameBytes: 0,
}

/**
 * Adds one file name. MariaDB has Aria logs, system tables and metadata of its own (11.x), and keeps redo in
 * `ib_logfile0`, xtrabackup in `xtrabackup_logfile`; MySQL 8 has `mysql.ibd` and `.sdi` files. A directory that
 * xtrabackup has prepared may hold an `ib_logfile0` too: leave that name out there.
 */
export function withName(facts: NameFacts, path: string): NameFacts {
  const { base, compression, encrypted } = splitFileName(path)
  return {
    innerCompression: facts.innerCompression ?? compression,
    innerEncryption: facts.innerEncryption || encrypted,
    kind: base.endsWith('.delta') ? 'incremental' : (facts.kind ?? kindOf(base)),
    family: facts.family ?? familyOf(base),
    hasMysqlSchema: facts.hasMysqlSchema || base.startsWith('mysql/') || base === 'mysql.ibd',
    longestNameBytes: Math.max(facts.longestNameBytes, Buffer.byteLength(base.replace(/\.(delta|meta)$/, ''))),
  }
}

function kindOf(base: string): NameFacts['kind'] {
  if (base.endsWith('.meta')) return 'incremental'
  return /(^|\/)(ibdata\d+|[^/]+\.ibd)$/.test(base) ? 'full' : null
}

function familyOf(base: string): ToolFamilyName | null {
  if (base.startsWith('mariadb_backup_') || base === 'ib_logfile0' || /^aria_log[._]/.test(base))
    return 'mariadb-backup'
  // ibdata1 is often first, but the order in a stream depends on the threads of the backup and proves nothing.
  if (/^mysql\/(gtid_slave_pos|transaction_registry)\.ibd(\.|$)/.test(base)) return 'mariadb-backup'
  if (base === 'xtrabackup_logfile' || base.startsWith('mysql.ibd') || base.endsWith('.sdi')) return 'xtrabackup'
  return null
}
