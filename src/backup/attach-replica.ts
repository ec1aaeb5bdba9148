import type { BinlogPosition } from './binlog-info.ts'

/** What is known of where a restored server stands in the binlogs of the server that it can follow. */
export interface ReplicaPoint {
  /** Of the backup; null is unknown. */
  serverVersion: string | null
  isMariadb: boolean
  /** Of the server that was backed up; after a point-in-time recovery, where apply ended. */
  binlog: BinlogPosition | null
  /** The statement in slave_info: the point in the source of the server that was backed up. */
  replica: string | null
  /** `UUID:seqno`, and the GTID behind it where MariaDB wrote one. */
  galera: string | null
}

/**
 * The SQL that attaches a restored server as a replica, ready but for host, user and password; null where nothing
 * tells the point. With slave_info its source is that of the server that was backed up, else that server itself.
 * A backup is hostile: what is more than names, numbers and GTIDs gives no statement.
 */
export function attachReplica(point: ReplicaPoint): string | null {
  const words = wordsOf(point)
  if (point.replica !== null) return fromSlaveInfo(point.replica, words)
  const own = point.binlog?.gtid ?? ''
  const gtid = /^[\w:,-]+$/.test(own)
    ? own
    : (/\s(\d+-\d+-\d+(?:,\d+-\d+-\d+)*)$/.exec(point.galera ?? '')?.[1] ?? null)
  const to = (rest: string) => `${words.change} ${words.account}, ${rest}; ${words.start}`
  if (gtid && point.isMariadb)
    return `SET GLOBAL gtid_slave_pos = '${gtid}'; ${to(`${words.prefix}_USE_GTID = slave_pos`)}`
  if (gtid) return `${words.reset}; SET GLOBAL gtid_purged = '${gtid}'; ${to(`${words.prefix}_AUTO_POSITION = 1`)}`
  const { file = null, position = null } = point.binlog ?? {}
  if (file === null || position === null || !/^[\w.-]+$/.test(file)) return null
  return to(`${words.prefix}_LOG_FILE = '${file}', ${words.prefix}_LOG_POS = ${position}`)
}

interface Words {
  change: string
  prefix: 'MASTER' | 'SOURCE'
  account: string
  start: string
  reset: string
}

/** MySQL renamed the statement in 8.0.23, and RESET MASTER in 8.2; 8.4 has only the new names. */
function wordsOf({ serverVersion, isMariadb }: ReplicaPoint): Words {
  const [major = 0, minor = 0, patch = 0] = (serverVersion ?? '').split(/[.-]/).map(Number)
  const version = major * 10_000 + minor * 100 + patch
  const isNew = !isMariadb && version >= 80_023
  const prefix = isNew ? 'SOURCE' : 'MASTER'
  return {
    change: isNew ? 'CHANGE REPLICATION SOURCE TO' : 'CHANGE MASTER TO',
    prefix,
    account: `${prefix}_HOST = 'HOST', ${prefix}_USER = 'USER', ${prefix}_PASSWORD = 'PASSWORD'`,
    start: isNew ? 'START REPLICA' : 'START SLAVE',
    reset: !isMariadb && version >= 80_200 ? 'RESET BINARY LOGS AND GTIDS' : 'RESET MASTER',
  }
}

const SETS_GTID = /^\s*(?:SET GLOBAL gtid_(?:purged|slave_pos)\s*=\s*'[\w:,\s-]*'\s*;\s*)?$/i

/** The tools write the statement without an account, and older ones with names that newer servers have not. */
function fromSlaveInfo(statement: string, { change, prefix, account, start }: Words): string | null {
  const found = /^(.*?)CHANGE (?:MASTER|REPLICATION SOURCE) TO (.+?);?\s*$/is.exec(statement)
  if (found === null || !SETS_GTID.test(found[1]!) || !/^[\w\s'=,.-]+$/.test(found[2]!)) return null
  const rest = found[2]!.replace(/\b(?:MASTER|SOURCE)_/gi, `${prefix}_`)
  return `${found[1]}${change} ${account}, ${rest}; ${start}`
}
