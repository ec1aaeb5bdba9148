import type { Command } from './command.ts'
import type { Grammar } from './events.ts'

export type FamilyName = 'mariadb-backup' | 'xtrabackup'

/** Versions as a backup's info file has them (`tool_version`, `server_version`); null where it does not say. */
export interface BackupVersions {
  tool: string | null
  server: string | null
}

/**
 * Whether a tool can restore a backup. `warning` where nothing speaks against it but something is unknown or unusual.
 */
export type Fit = { fits: true; warning: string | null } | { fits: false; reason: string }

/** Endings of files compressed or encrypted inside the stream; compression comes first (`t.ibd.zst.xbcrypt`). */
export type InnerSuffix = '.zst' | '.lz4' | '.qp' | '.xbcrypt'

/** xtrabackup's own encryption of files inside the stream. The key itself is never an argument. */
export interface InnerKey {
  keyFile: string
  algorithm: 'AES128' | 'AES192' | 'AES256'
}

export interface ExtractOptions {
  /** Path or name of the stream extractor (see `extractors`). */
  extractor: string
  toolVersion: string | null
  /** Exists and is empty. */
  directory: string
  parallel: number
  innerSuffixes: readonly InnerSuffix[]
  /** Null where nothing inside the stream is encrypted. */
  key: InnerKey | null
}

export interface DecompressOptions extends Omit<ExtractOptions, 'extractor'> {
  program: string
}

export interface PrepareOptions {
  program: string
  toolVersion: string | null
  targetDir: string
  /** The incremental to apply to `targetDir`; null for the full. */
  incrementalDir: string | null
  /** For the buffer pool. */
  memoryBytes: number
  parallel: number
  /** The chain's last element: only here xtrabackup may roll back what was not committed. */
  isLast: boolean
  /** Roll back prepared XA transactions too; xtrabackup only, with the last element. */
  rollbackPreparedTrx?: boolean
}

export interface MoveBackOptions {
  program: string
  /** Absolute. */
  targetDir: string
  /** Absolute; absent or empty. */
  datadir: string
  parallel: number
}

/** Everything that differs between the tool families. All functions are pure. */
export interface ToolFamily {
  family: FamilyName
  /** Names of the program, the one to prefer first. */
  programs: readonly string[]
  extractors: readonly string[]
  /** Names of the backup's own metadata files, the newest naming first. */
  metadataFiles: {
    checkpoints: readonly string[]
    info: readonly string[]
    binlogInfo: readonly string[]
  }
  /** The least buffer pool that prepare is known to finish with. */
  memoryFloorBytes: number
  /** What prepare takes where it is told nothing. */
  defaultMemoryBytes: number
  version(program: string): Command
  /** From the output (stdout and stderr) of `version`; null where no banner is in it. */
  parseVersion(output: string): string | null
  versionFits(toolVersion: string | null, backup: BackupVersions): Fit
  /** Whether the extractor of this version refuses every path that leads out of its directory. */
  refusesUnsafePaths(toolVersion: string): boolean
  /** Reads the stream from stdin. */
  extract(options: ExtractOptions): Command
  /** What the extractor could not decompress or decrypt itself; null where nothing is left to do. */
  decompress(options: DecompressOptions): Command | null
  prepare(options: PrepareOptions): Command
  moveBack(options: MoveBackOptions): Command
  /** For the program's stderr; one per process. */
  grammar(): Grammar
  /** For the extractor's stderr; one per process. */
  extractGrammar(): Grammar
}
