/** One object of a place; `key` is relative to the place, with `/`. */
export interface ListedObject {
  key: string
  bytes: number
  modifiedMs: number | null
}

/** How the bytes of a backup are put together from objects. */
export type Assembly =
  /** One after the other. */
  | { kind: 'concatenated'; keys: readonly string[] }
  /** wal-g's split-merge: block by block in turn from each part, after each part's files are unpacked. */
  | { kind: 'striped'; parts: readonly (readonly string[])[]; blockBytes: number }

/** Why a stored backup cannot be restored. */
export interface StoredProblem {
  code: 'backup_incomplete' | 'chain_broken' | 'source_corrupt' | 'source_empty'
  message: string
}

export const incomplete = (message: string): StoredProblem => ({ code: 'backup_incomplete', message })

/** One backup that a place holds, as far as its listing and its small metadata objects tell; null is unknown. */
export interface StoredBackup {
  /** What `--backup` names; no other backup of the place has it. */
  id: string
  /** Unix ms: its end where the layout tells it, otherwise the beginning that its name says, or when it was stored. */
  timeMs: number | null
  kind: 'full' | 'incremental' | null
  /** The `id` of the backup that an incremental is applied to. */
  baseId: string | null
  fromLsn: number | null
  toLsn: number | null
  storedBytes: number
  /** Bytes that the extracted files take, before they are decompressed. */
  extractedBytes: number | null
  files: number | null
  /** Null where only reading it can tell. */
  complete: boolean | null
  /** Why it cannot be restored; null where nothing is known against it. */
  problem: StoredProblem | null
  /** The keys that it needs, in words. */
  keys: readonly string[]
  /** What else a person should know, such as until when it is preserved. */
  note: string | null
  /** Made when it is asked for: a large backup has as many keys as it has chunks of 10 MB. */
  assemble(): Assembly
}

/** The small objects that a layout asked for, by key. */
export type MetadataObjects = ReadonlyMap<string, Buffer>

/**
 * A way in which some tool lays backups out in a place. All functions are pure: they see a listing, in any order, and
 * the small objects that `metadataKeys` named. Nothing in either is trusted.
 */
export interface Layout {
  readonly name: string
  /** Whether the listing has what only this layout has. */
  recognises(objects: readonly ListedObject[]): boolean
  /** Objects of at most 16 MiB that `backups` wants to read. */
  metadataKeys(objects: readonly ListedObject[]): string[]
  backups(objects: readonly ListedObject[], metadata: MetadataObjects): StoredBackup[]
  /** The key of the backup's files, wrapped by another key; null where there is none. */
  wrappedKeyOf?(id: string, metadata: MetadataObjects): Buffer | null
  /** What the keys of all objects of a backup begin with, and perhaps those of others. */
  prefixOf(id: string): string
}
