import { ERRORS, type ErrorRecord } from '../errors.ts'
import type { BinlogPosition } from './binlog-info.ts'
import type { Checkpoints } from './checkpoints.ts'
import { familyOfInfo, isPrepared, type ToolFamilyName } from './family.ts'
import type { InnerCompression } from './file-name.ts'
import type { OuterFormat } from './formats.ts'
import type { BackupInfo } from './info.ts'
import type { NameFacts } from './name-facts.ts'

/** One backup of a chain, as far as it is known; null is unknown. LSNs are bytes of redo, exact below 2^53. */
export interface BackupDescription {
  /** What the user called the source: a path or `-`. */
  name: string
  family: ToolFamilyName | null
  toolVersion: string | null
  serverVersion: string | null
  /** UUID of the server. xtrabackup keeps it in backup-my.cnf; MariaDB has none. */
  serverUuid: string | null
  /** UUID of this backup. */
  backupUuid: string | null
  startTime: string | null
  endTime: string | null
  kind: 'full' | 'incremental' | null
  /** Prepared already: prepare has nothing left to do. */
  prepared: boolean
  fromLsn: number | null
  toLsn: number | null
  lastLsn: number | null
  redoMemoryBytes: number | null
  redoFrames: number | null
  binlog: BinlogPosition | null
  /**
   * Where the server, itself a replica, was in its source's binlog: the statement that the tool wrote (`--slave-info`).
   */
  replica: string | null
  /** Of a Galera node: its state as the tool wrote it, `UUID:seqno` (`--galera-info`). */
  galera: string | null
  /** It holds only some of the server's databases or tables. */
  partial: boolean | null
  /** Whether it holds a file of the `mysql` schema; null if not all files were seen. */
  hasMysqlSchema: boolean | null
  /** Of the longest path that a restored file has in its datadir, as far as names were seen. */
  longestNameBytes: number
  /** Around the stream, outermost first: `['gpg', 'zstd']` is decrypted first. Empty for a directory. */
  layers: readonly OuterFormat[]
  innerCompression: InnerCompression | null
  /** Files end in `.xbcrypt`. */
  innerEncryption: boolean
  /** Bytes the source holds; null for a pipe. */
  storedBytes: number | null
  /** Bytes the extracted and decompressed files take. */
  dataBytes: number | null
  files: number | null
  /**
   * False if something is certainly missing or damaged. Null if only the first bytes were read, or nothing for lack of
   * a key.
   */
  complete: boolean | null
  /** Why it cannot be restored; null if no reason is known. */
  problem: ErrorRecord | null
}

/** What an inspection collected about one backup. */
export interface BackupEvidence {
  name: string
  names: NameFacts
  checkpoints: Checkpoints | null
  info: BackupInfo | null
  binlog: BinlogPosition | null
  serverUuid: string | null
  replica: string | null
  galera: string | null
  layers: readonly OuterFormat[]
  storedBytes: number | null
  /** Bytes of all files as they lie in the stream or directory, or of the decoded stream. */
  payloadBytes: number | null
  files: number | null
  complete: boolean | null
  problem: ErrorRecord | null
}

/** Combines what was found. The info file has the highest priority, then the checkpoints, then file names. */
export function describeBackup(evidence: BackupEvidence): BackupDescription {
  const { names, checkpoints, info, payloadBytes, problem } = evidence
  const family = (info && familyOfInfo(info)) ?? names.family
  return {
    name: evidence.name,
    family,
    toolVersion: info?.toolVersion ?? null,
    serverVersion: info?.serverVersion ?? null,
    serverUuid: evidence.serverUuid,
    backupUuid: info?.uuid ?? null,
    startTime: info?.startTime ?? null,
    endTime: info?.endTime ?? null,
    kind: kindOf(evidence),
    prepared: checkpoints !== null && isPrepared(family, checkpoints.backupType),
    fromLsn: checkpoints?.fromLsn ?? info?.fromLsn ?? null,
    toLsn: checkpoints?.toLsn ?? info?.toLsn ?? null,
    lastLsn: checkpoints?.lastLsn ?? null,
    redoMemoryBytes: checkpoints?.redoMemoryBytes ?? null,
    redoFrames: checkpoints?.redoFrames ?? null,
    binlog: evidence.binlog ?? info?.binlog ?? null,
    replica: evidence.replica,
    galera: evidence.galera,
    partial: info?.partial ?? null,
    hasMysqlSchema: names.hasMysqlSchema || (evidence.complete === null ? null : false),
    longestNameBytes: names.longestNameBytes,
    layers: evidence.layers,
    innerCompression: names.innerCompression,
    innerEncryption: names.innerEncryption,
    storedBytes: evidence.storedBytes,
    dataBytes: info?.uncompressedBytes ?? (names.innerCompression === null ? payloadBytes : null),
    files: evidence.files,
    complete: problem && ERRORS[problem.code].backup ? false : evidence.complete,
    problem,
  }
}

/** Checkpoints of a prepared or half-prepared backup no longer say what it was; a base has merged its incrementals. */
function kindOf({ checkpoints, info, names }: BackupEvidence): BackupDescription['kind'] {
  if (checkpoints) return checkpoints.backupType === 'incremental' ? 'incremental' : 'full'
  if (info?.incremental != null) return info.incremental ? 'incremental' : 'full'
  return names.kind
}

/** `server_uuid` of a backup-my.cnf; null where it has none. */
export const serverUuidOf = (config: string): string | null => /^server_uuid *= *(\S+)/m.exec(config)?.[1] ?? null

/** The notice about a partial backup; null for any other. */
export function partialNotice({ name, partial, hasMysqlSchema }: BackupDescription): string | null {
  if (partial !== true) return null
  const what = `${name} is a partial backup: it holds only some of the server's databases or tables`
  return hasMysqlSchema === false
    ? `${what}, and not the mysql schema. A server will not start on it as it is: create system tables first ` +
        '(mariadb-install-db, mysqld --initialize), then import its tables'
    : what
}
