import type { SourceRef } from './source-ref.ts'
import type { ObjectPin } from './transfer/http-object.ts'
import type { Access, ExpectedChecksum } from './transfer/job.ts'

/**
 * What tells the bytes of a source from others under the same name. Two identities are of the same source where every
 * fact that both know is equal. A modification time is compared with another one only, never with a clock.
 */
export type SourceIdentity = Readonly<Record<string, string>>

/** How many bytes `peek` gives unless more are asked for. */
export const PEEK_BYTES = 1 << 20

/**
 * Where a backup comes from. Whoever opened a source closes it. Errors of every method: `source_unreadable`, with the
 * source's name.
 */
export type Source = StreamSource | DirectorySource

interface AnySource {
  /** Opens the same source again, where it can be read more than once. */
  readonly ref: SourceRef
  /** `nameOfSource(ref)`. */
  readonly name: string
  /** What tells its bytes from others under the same name; null for a pipe. */
  identity(): Promise<SourceIdentity | null>
  /** Releases every descriptor that this source opened; descriptor 0 is left to the process. */
  close(): Promise<void>
}

/** A backup that is a sequence of bytes. */
export interface StreamSource extends AnySource {
  readonly kind: 'stream'
  /** Bytes from the first to the last one; null for a pipe. */
  readonly storedBytes: number | null
  /** The first bytes, without consuming them: fewer than asked for only where the source ends. */
  peek(bytes?: number): Promise<Buffer>
  /** All bytes, in order, those peeked at included. Of a pipe only once. */
  bytes(): AsyncIterable<Buffer>
  /** Present when the bytes lie in a file, whose descriptor can be a tool's standard input. */
  readonly file: FileAccess | null
  /** What is known of it without a look at its bytes; absent: nothing. */
  readonly known?: KnownContents
  /**
   * Present where the place holds the key of the backup's files, wrapped: the content of a key file for the extractor.
   * Throws `key_missing` or `wrong_key`.
   */
  readonly innerKey?: () => Buffer
  /** Present when a transfer process can fetch the bytes. */
  readonly remote?: RemoteAccess
}

/** What a place tells of a backup by its listing. */
export interface KnownContents {
  /** Bytes of its files, as they lie in the stream. */
  payloadBytes: number | null
  files: number | null
}

/** What a transfer process needs to know; `access` may hold a secret. */
export interface RemoteAccess {
  access: Access
  pin: ObjectPin
  /** The server answers ranges. */
  ranged: boolean
  /** Null where the store has none. */
  checksum: ExpectedChecksum | null
}

export interface FileAccess {
  /** The descriptor's offset at which the source begins: not 0 where standard input was read before us. */
  readonly startOffset: number
  /**
   * A descriptor that stands at the first byte, for a tool to read from. It belongs to the source. Of a file every call
   * gives a new one; of standard input it is the process's own, which can be consumed only once.
   */
  fd(): number
  /** Reads into `buffer` from `position`, counted from the first byte of the source; fewer bytes only at the end. */
  readAt(buffer: Buffer, position: number): Promise<number>
}

/** A backup that is a directory: extracted, or prepared already. */
export interface DirectorySource extends AnySource {
  readonly kind: 'directory'
  readonly path: string
  /** Sum of the sizes of all files. Known after walking, so it is a method. */
  storedBytes(): Promise<number>
  /** Every file below the directory, in no particular order. Symbolic links are followed, as the copy follows them. */
  files(): AsyncIterable<DirectoryFile>
  /** Paths below the directory that are no part of the backup and may fail to be copied: dangling links, lost+found. */
  ignored(): Promise<string[]>
  /** Reads a file below the directory, at most 1 MiB of it. */
  read(path: string): Promise<Buffer>
}

export interface DirectoryFile {
  /** Relative to the directory, with `/`. */
  path: string
  bytes: number
  mtimeNs: bigint
  /** Blocks on disk, in bytes: less than `bytes` for a sparse file. */
  allocatedBytes: number
}
