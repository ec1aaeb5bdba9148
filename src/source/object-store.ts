import { RestoreError } from '../errors.ts'
import type { ByteRange, ObjectPin } from './transfer/http-object.ts'
import type { Access } from './transfer/job.ts'
import type { TransferStats } from './transfer/stats.ts'

/**
 * A place that holds many objects: a bucket with a prefix, or a directory whose files are the objects. Errors of every
 * method: those of `openSource`. Whoever opened a store closes it.
 */
export interface ObjectStore {
  /** For people: without a secret. */
  readonly name: string
  /** Objects whose key begins with `prefix`, in the order of their keys' UTF-8 bytes. */
  list(prefix?: string): AsyncIterable<StoredObject>
  /** A small object, or a range of a large one: `source_unreadable` above 16 MiB. Fewer bytes only at its end. */
  read(key: string, range?: ByteRange): Promise<Buffer>
  /** How a transfer process asks for the object; it may hold a secret. */
  access(key: string): Promise<Access>
  /**
   * All bytes of a listed object, resumed after breaks; `source_changed` where it is not the listed one any more.
   */
  stream(object: StoredObject, options?: StreamOptions): AsyncIterable<Buffer>
  close(): Promise<void>
}

export interface StreamOptions {
  signal?: AbortSignal
  /** Windows at a time; 1 unless given, because many objects are read at once. */
  windows?: number
  stats?: TransferStats
}

export interface StoredObject {
  /** Relative to the place, with `/`. */
  key: string
  bytes: number
  /** A strong entity tag, quotes included; null where the store has none. */
  etag: string | null
  /** Unix ms. */
  modifiedMs: number | null
  /** In an archive, such as Glacier: it cannot be read before it is restored there. */
  cold: boolean
}

export const MOST_READ_BYTES = 16 << 20

export const tooLarge = (name: string, bytes: number): RestoreError =>
  new RestoreError('source_unreadable', `${name} has ${bytes} bytes; at most ${MOST_READ_BYTES} are read at once`, {
    hint: 'a file that describes a backup is much smaller: it is damaged, or another file has its name',
  })

/** What proves that an object is the listed one. */
export const pinOf = ({ etag, bytes }: StoredObject): ObjectPin => ({ etag, lastModified: null, size: bytes })
