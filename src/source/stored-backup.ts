import { constants, createHash, privateDecrypt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createStreamScan, type StreamScan } from '../backup/stream-scan.ts'
import { RestoreError } from '../errors.ts'
import { judgeChains } from '../layout/chains.ts'
import type { StoredBackup } from '../layout/layout.ts'
import { layoutNamed } from '../layout/layouts.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'
import { openStore } from './open-store.ts'
import { listed, readMetadata } from './place.ts'
import { PEEK_BYTES, type StreamSource } from './source.ts'
import { nameOfSource, type RefOf } from './source-ref.ts'
import { type StoreSettings, storeSettingsOf } from './store-settings.ts'
import { layersOfObject, mergeStripes, withoutLayers } from './stripes.ts'
import type { BackupAccess } from './transfer/job.ts'
import { newStats, type TransferStats } from './transfer/stats.ts'
import { MOST_WINDOWS } from './transfer/window-plan.ts'

type BackupRef = RefOf<'backup'>

/** The objects of one backup, in the order in which their bytes follow each other. */
interface Contents {
  store: ObjectStore
  name: string
  backup: StoredBackup
  objects: readonly StoredObject[]
  /** The same by parts, where they are stripes. */
  stripes: { parts: readonly (readonly StoredObject[])[]; blockBytes: number } | null
  /** Of the backup's files, as MyHoard wraps it. */
  wrappedKey: Buffer | null
  /** For objects that are encrypted. */
  keyFile: string | null
  /** Of the list of objects: with another one the bytes are others. */
  identity: string
}

/**
 * Opens a backup that a place holds in several objects. Throws `source_missing` where it is gone, `source_cold`, the
 * problem that its listing shows, and what the store throws.
 */
export async function openStoredBackup(ref: BackupRef, settings: StoreSettings): Promise<StreamSource> {
  const contents = await findContents(ref, settings)
  const { store, name, backup, objects, stripes, wrappedKey, keyFile, identity } = contents
  const bytes = () => assembled(contents, newStats())
  // Stripes are unpacked by the transfer process, so what counts is the stream that they make.
  const storedBytes = stripes ? backup.extractedBytes : objects.reduce((sum, object) => sum + object.bytes, 0)
  const access: BackupAccess = { ...ref, identity, settings: storeSettingsOf(settings) }
  return {
    ref,
    name,
    kind: 'stream',
    storedBytes,
    identity: async () => ({ 'list of objects': identity }),
    file: null,
    ...(wrappedKey !== null && { innerKey: () => unwrappedKey(name, wrappedKey, keyFile) }),
    known: { payloadBytes: backup.extractedBytes, files: backup.files },
    remote: { access, pin: { etag: null, lastModified: null, size: storedBytes }, ranged: true, checksum: null },
    async peek(count = PEEK_BYTES) {
      const pieces: Buffer[] = []
      let length = 0
      for await (const piece of bytes()) {
        pieces.push(piece)
        length += piece.length
        if (length >= count) break
      }
      return Buffer.concat(pieces).subarray(0, count)
    },
    bytes,
    close: store.close,
  }
}

/** The bytes that a transfer job asks for. Throws `source_changed` where the list of objects is another one by now. */
export async function* readStoredBackup(
  access: BackupAccess,
  stats: TransferStats,
): AsyncGenerator<Buffer, void, undefined> {
  const { kind, place, layout, id } = access
  const contents = await findContents({ kind, place, layout, id }, access.settings)
  try {
    if (contents.identity !== access.identity)
      throw new RestoreError('source_changed', `the objects of ${contents.name} are others than before`)
    yield* assembled(contents, stats)
  } finally {
    await contents.store.close()
  }
}

async function findContents(ref: BackupRef, settings: StoreSettings): Promise<Contents> {
  const name = nameOfSource(ref)
  const layout = layoutNamed(ref.layout)
  if (layout === null)
    throw new RestoreError('source_unknown', `${name} lies in a layout ${ref.layout}, which is not known`)
  const store = await openStore(ref.place, settings)
  try {
    const listing = await listed(store, layout.prefixOf(ref.id))
    const metadata = await readMetadata(store, layout, listing)
    const backups = judgeChains(layout.backups(listing, metadata))
    const backup = backups.find(({ id }) => id === ref.id)
    if (backup === undefined) throw new RestoreError('source_missing', `${name} is not there`)
    // Its chain is another matter: its base need not begin with the same prefix.
    if (backup.problem !== null && backup.problem.code !== 'chain_broken')
      throw new RestoreError(backup.problem.code, `${name} cannot be restored: ${backup.problem.message}`)
    const assembly = backup.assemble()
    const find = objectsOf(name, listing)
    const parts = assembly.kind === 'striped' ? assembly.parts.map(find) : [find(assembly.keys)]
    const stripes = assembly.kind === 'striped' ? { parts, blockBytes: assembly.blockBytes } : null
    const objects = parts.flat()
    const cold = objects.filter(object => object.cold)
    if (cold.length > 0)
      throw new RestoreError('source_cold', `${cold.length} of ${objects.length} objects of ${name} are archived`)
    const keyFile = settings.decryptKeyFile
    const wrappedKey = layout.wrappedKeyOf?.(ref.id, metadata) ?? null
    return { store, name, backup, objects, stripes, wrappedKey, keyFile, identity: hashOf(objects) }
  } catch (error) {
    await store.close()
    throw error
  }
}

/**
 * MyHoard's: 24 bytes under RSA-OAEP with SHA-1, of which the base64 is xtrabackup's key of 32 letters.
 */
function unwrappedKey(name: string, wrapped: Buffer, keyFile: string | null): Buffer {
  if (keyFile === null)
    throw new RestoreError('key_missing', `${name} is encrypted`, {
      hint: "give MyHoard's RSA private key (PEM) with --decrypt-key-file",
    })
  try {
    const key = privateDecrypt(
      { key: readFileSync(keyFile), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
      wrapped,
    )
    return Buffer.from(key.toString('base64'))
  } catch (cause) {
    throw new RestoreError('wrong_key', `${keyFile} does not open the key of ${name}: ${(cause as Error).message}`, {
      hint: "--decrypt-key-file is to hold MyHoard's RSA private key (PEM) of the time of this backup",
      cause,
    })
  }
}

function objectsOf(name: string, listing: readonly StoredObject[]): (keys: readonly string[]) => StoredObject[] {
  const byKey = new Map(listing.map(object => [object.key, object]))
  return keys =>
    keys.map(key => {
      const object = byKey.get(key)
      if (object === undefined) throw new RestoreError('backup_incomplete', `${name} has no object ${key}`)
      return object
    })
}

function hashOf(objects: readonly StoredObject[]): string {
  const hash = createHash('sha256')
  for (const { key, bytes, etag, modifiedMs } of objects) hash.update(`${key}\0${bytes}\0${etag ?? modifiedMs}\n`)
  return hash.digest('hex')
}

/**
 * The stream, checked chunk by chunk before anything of it is handed on: `source_corrupt` for a path that must not be
 * written and for a wrong checksum, `source_truncated` for an end that comes too early. What is no bare xbstream is
 * left to the stages behind, which unpack it.
 */
async function* assembled(contents: Contents, stats: TransferStats): AsyncGenerator<Buffer, void, undefined> {
  const { name, objects, stripes } = contents
  let scan: StreamScan | null = null
  let isFirst = true
  for await (const piece of stripes ? striped(contents, stats) : inOrder(objects, reader(contents, stats))) {
    if (isFirst && piece.subarray(0, 8).equals(MAGIC)) scan = createStreamScan(name)
    isFirst = false
    scan?.push(piece)
    yield piece
  }
  scan?.end()
}

const reader =
  ({ store }: Contents, stats: TransferStats) =>
  (object: StoredObject, signal: AbortSignal): Pieces => {
    const windows = object.bytes <= SMALL_BYTES ? 1 : MOST_WINDOWS
    return store.stream(object, { signal, windows, stats })[Symbol.asyncIterator]()
  }

/** All parts are read at once, each file of a part unpacked by itself, as the first one has to be. */
async function* striped({ name, store, stripes, keyFile }: Contents, stats: TransferStats): AsyncGenerator<Buffer> {
  const nameOf = ({ key }: StoredObject) => `${store.name}/${key}`
  const first = stripes!.parts[0]![0]!
  const head = await store.read(first.key, { start: 0, end: Math.min(first.bytes, HEAD_BYTES) })
  const layers = layersOfObject(nameOf(first), head, keyFile)
  async function* plain(files: readonly StoredObject[]) {
    for (const object of files)
      yield* withoutLayers(nameOf(object), store.stream(object, { windows: STRIPE_WINDOWS, stats }), layers, keyFile)
  }
  yield* mergeStripes(name, stripes!.parts.map(plain), stripes!.blockBytes)
}

const HEAD_BYTES = 64 << 10
const STRIPE_WINDOWS = 2
const MAGIC = Buffer.from('XBSTCK01')

/** Read ahead, each by one request, so that a small object costs no round trip of its own. */
const SMALL_BYTES = 16 << 20
const AHEAD = 12

type Pieces = AsyncIterator<Buffer, void>

/**
 * The bytes of all objects, one after the other. The requests of the next small ones are begun before they are read:
 * their bytes wait in their sockets. A large object is read alone, by ranges of its own.
 */
async function* inOrder(
  objects: readonly StoredObject[],
  read: (object: StoredObject, signal: AbortSignal) => Pieces,
): AsyncGenerator<Buffer, void, undefined> {
  const ending = new AbortController()
  const begun: { pieces: Pieces; first: Promise<IteratorResult<Buffer, void>>; isSmall: boolean }[] = []
  let next = 0
  const begin = () => {
    const object = objects[next++]!
    const pieces = read(object, ending.signal)
    const first = pieces.next()
    first.catch(() => {}) // thrown where its turn comes
    begun.push({ pieces, first, isSmall: object.bytes <= SMALL_BYTES })
  }
  const mayBegin = () =>
    next < objects.length &&
    (begun.length === 0 ||
      (begun.length < AHEAD && objects[next]!.bytes <= SMALL_BYTES && begun.every(({ isSmall }) => isSmall)))
  try {
    for (;;) {
      while (mayBegin()) begin()
      const head = begun[0]
      if (head === undefined) return
      for (let result = await head.first; !result.done; result = await head.pieces.next()) yield result.value
      begun.shift()
    }
  } finally {
    ending.abort()
    for (const { pieces } of begun) void pieces.return?.().catch(() => {})
  }
}
