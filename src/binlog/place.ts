import { RestoreError, toRestoreError } from '../errors.ts'
import { formatFirst } from '../format.ts'
import { decodedBytes } from '../source/decode.ts'
import type { ObjectStore, StoredObject } from '../source/object-store.ts'
import { openStore } from '../source/open-store.ts'
import { nameOfSource, type SourceRef } from '../source/source-ref.ts'
import type { StoreSettings } from '../source/store-settings.ts'
import { openDispatcher } from '../source/transfer/access.ts'
import { readObject } from '../source/transfer/read-object.ts'
import { type Compression, decompressStage } from '../tool/filters.ts'
import { type BinlogSource, seriesOf } from './scan.ts'

/** The binlogs that a place holds. */
export interface BinlogPlace {
  /** For people: without a secret. */
  readonly name: string
  /** In the order of their keys. */
  readonly files: readonly BinlogFile[]
  close(): Promise<void>
}

export interface BinlogFile extends BinlogSource {
  storedBytes: number
  compression: Compression | null
  /** Of a plain file on this host, which can be linked or copied as it is; else null. */
  path: string | null
}

const SUFFIXES: Readonly<Record<string, Compression>> = { gz: 'gzip', zst: 'zstd', lz4: 'lz4', xz: 'xz', bz2: 'bzip2' }
const MAGICS: readonly Buffer[] = [Buffer.from('\xfebin', 'latin1'), Buffer.from('\xfdbin', 'latin1')]
/** `.ibb`: MariaDB 12.3 and later can keep the binlog in InnoDB's pages. */
const INNODB_BINLOG = /\.ibb$/
/** What lies beside binlogs and never is one. */
const NEVER = /\.(index|json|ya?ml|txt|md5|sha256|md|cnf|log|err|pid|info|ibd|frm|MY[DI]|opt|sdi)$|(^|\/)\./

/**
 * Finds the binlogs of a place: files named as a server names them (`binlog.000007`), with `.gz`, `.zst`, `.lz4`, `.xz`
 * or `.bz2` behind it; where no file has such a name, those whose first bytes are a binlog's. Throws `binlog_gap` where
 * there is none, `binlog_unsupported` for `.ibb`, and what the store throws.
 */
export async function openBinlogs(ref: SourceRef, settings: StoreSettings): Promise<BinlogPlace> {
  const store = await openStore(ref, settings)
  const dispatcher = await openDispatcher(CONNECTIONS)
  const close = async () => {
    await store.close()
    await dispatcher.destroy()
  }
  try {
    const objects: StoredObject[] = []
    for await (const object of store.list()) objects.push(object)
    const innodb = objects.filter(({ key }) => INNODB_BINLOG.test(key)).map(({ key }) => key)
    if (innodb.length > 0)
      throw new RestoreError(
        'binlog_unsupported',
        `${store.name} holds binlogs that MariaDB keeps in InnoDB: ${formatFirst(innodb)}`,
        { hint: 'apply them with mariadb-binlog of that version after the restore' },
      )
    const named = objects.filter(({ key }) => seriesOf(plainName(key).name) !== null)
    const files: BinlogFile[] = []
    for (const object of named.length > 0 ? named : objects.filter(({ key }) => !NEVER.test(key))) {
      const file = await openFile(store, object, dispatcher)
      if (named.length > 0 || (await isBinlog(file))) files.push(file)
    }
    if (files.length > 0) return { name: store.name, files, close }
    throw new RestoreError('binlog_gap', `${nameOfSource(ref)} holds no binlog`, {
      hint: 'give the directory or prefix that holds them, such as binlog.000007 or binlog.000007.zst',
    })
  } catch (thrown) {
    await close()
    throw thrown
  }
}

const CONNECTIONS = 16

type Dispatcher = Awaited<ReturnType<typeof openDispatcher>>

async function openFile(
  store: ObjectStore,
  { key, bytes, etag }: StoredObject,
  dispatcher: Dispatcher,
): Promise<BinlogFile> {
  const { name, compression } = plainName(key)
  const access = await store.access(key)
  const where = `${store.name}/${key}`
  const read = () => {
    const options = { range: { start: 0, end: bytes }, pin: { etag, lastModified: null, size: bytes }, ranged: true }
    return readObject(where, access, options, dispatcher)
  }
  return {
    key,
    name,
    storedBytes: bytes,
    compression,
    path: access.kind === 'file' && compression === null ? access.path : null,
    chunks: () => (compression === null ? read() : decode(where, read, compression)),
  }
}

/** `archive/binlog.000007.zst` is `binlog.000007` in zstd. */
function plainName(key: string): { name: string; compression: Compression | null } {
  const name = key.slice(key.lastIndexOf('/') + 1)
  const found = /^(.+)\.([a-z0-9]+)$/.exec(name)
  const compression = found && (SUFFIXES[found[2]!] ?? null)
  return compression ? { name: found[1]!, compression } : { name, compression: null }
}

/** A packed binlog that is damaged is no damage of the backup. */
async function* decode(name: string, read: () => AsyncIterable<Buffer>, format: Compression): AsyncGenerator<Buffer> {
  try {
    yield* decodedBytes({ name, file: null, bytes: read }, [{ format, command: decompressStage(format) }])
  } catch (thrown) {
    const { code, message, lastWords } = toRestoreError(thrown)
    if (code !== 'source_corrupt' && code !== 'source_truncated') throw thrown
    throw new RestoreError('binlog_damaged', message, { lastWords, cause: thrown })
  }
}

async function isBinlog(file: BinlogFile): Promise<boolean> {
  for await (const chunk of file.chunks()) return MAGICS.some(magic => chunk.subarray(0, 4).equals(magic))
  return false
}
