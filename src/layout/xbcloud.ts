/**
 * xbcloud, and with it Percona's operators for PXC and PS. Every chunk of an xbstream is an object of its own:
 *
 *   <backup>/<path of the file>.<chunk number, 20 digits>
 *
 * The last chunk of a file is its end chunk, which holds nothing but the file's path. So the listing alone tells
 * whether each file is whole (chunks 0 to n, the last as large as an end chunk) and how large it is: an object is
 * 34 bytes and its path longer than what it holds. Chunks of sparse files hold a map as well, so that a sum may be a
 * little too large.
 *
 * The PS operator puts incrementals into `<full>.incr/<incremental>/`. Beside a backup lie `<backup>.md5` and, of PXC,
 * `<backup>.sst_info/`. The first lists all objects, so it shows also a file that is missing altogether. A backup that
 * failed may lack any file, so one counts only with its xtrabackup_info, which is written last.
 */
import { zstdDecompressSync } from 'node:zlib'
import type { Checkpoints } from '../backup/checkpoints.ts'
import { metadataRole, splitFileName } from '../backup/file-name.ts'
import { parseMetadata } from '../backup/metadata.ts'
import { unsafePath } from '../backup/stream-path.ts'
import { parseChunkHeader } from '../backup/xbstream-chunk.ts'
import { RestoreError } from '../errors.ts'
import { formatFirst } from '../format.ts'
import { linkByLsn } from './chains.ts'
import {
  incomplete,
  type Layout,
  type ListedObject,
  type MetadataObjects,
  type StoredBackup,
  type StoredProblem,
} from './layout.ts'
import { timeInName } from './name-time.ts'

const CHUNK = /^(.+)\.(\d{20})$/s
const HEADER_BYTES = 34
const END_BYTES = 14
/** Files that lie at the top of a backup, and nowhere else. */
const TOP_FILES =
  /^(?:(?:xtrabackup|mariadb_backup)_(?:info|checkpoints|logfile|tablespaces|binlog_info)|backup-my\.cnf|ibdata1|ib_logfile0|mysql\.ibd|undo_001)$/
/** Its metadata are small; a larger object is none. */
const MOST_METADATA_BYTES = 1 << 20
const MOST_LIST_BYTES = 16 << 20

interface StoredFile {
  chunks: number
  lastChunk: number
  /** Of the chunk with the highest number. */
  lastBytes: number
  smallestBytes: number
  bytes: number
}

export const xbcloud: Layout = {
  name: 'xbcloud',
  recognises: objects => rootsOf(objects).length > 0,
  metadataKeys(objects) {
    const roots = new Set(rootsOf(objects))
    const isSmallList = ({ key, bytes }: ListedObject) => roots.has(rootOfList(key)) && bytes <= MOST_LIST_BYTES
    return objects.filter(object => isMetadata(object, roots) || isSmallList(object)).map(({ key }) => key)
  },
  backups(objects, metadata) {
    const roots = new Set(rootsOf(objects))
    const found = new Map<string, { files: Map<string, StoredFile>; storedBytes: number; modifiedMs: number | null }>()
    for (const { key, bytes, modifiedMs } of objects) {
      const chunk = chunkIn(key, roots)
      if (chunk === null) continue
      const backup = found.get(chunk.root) ?? { files: new Map(), storedBytes: 0, modifiedMs: null }
      found.set(chunk.root, backup)
      backup.storedBytes += bytes
      backup.modifiedMs = Math.max(backup.modifiedMs ?? 0, modifiedMs ?? 0) || null
      addChunk(backup.files, chunk, bytes)
    }
    return linkByLsn([...found].map(([root, backup]) => backupOf(root, backup, metadata)))
  },
  prefixOf: id => (id === HERE ? '' : id),
}

/** Directories that hold a backup. One inside another would be a database of that name. */
function rootsOf(objects: readonly ListedObject[]): string[] {
  const roots = new Set<string>()
  for (const { key } of objects) {
    const path = CHUNK.exec(key)?.[1]
    if (path === undefined) continue
    const slash = path.lastIndexOf('/')
    if (TOP_FILES.test(topName(path.slice(slash + 1)))) roots.add(path.slice(0, Math.max(0, slash)))
  }
  return [...roots].filter(root => !ancestorsOf(root).some(ancestor => roots.has(ancestor)))
}

const topName = (name: string): string => splitFileName(name).base.replace(/\.(?:delta|meta)$/, '')

/** `a/b/c` lies in `a/b`, `a` and the place itself. */
function ancestorsOf(path: string): string[] {
  const names = path.split('/')
  return path === '' ? [] : names.map((_, count) => names.slice(0, count).join('/'))
}

function chunkIn(key: string, roots: ReadonlySet<string>): { root: string; path: string; number: number } | null {
  const [, whole, digits] = CHUNK.exec(key) ?? []
  if (whole === undefined) return null
  const root = ancestorsOf(whole).find(ancestor => roots.has(ancestor))
  if (root === undefined) return null
  return { root, path: root === '' ? whole : whole.slice(root.length + 1), number: Number(digits) }
}

function addChunk(files: Map<string, StoredFile>, { path, number }: { path: string; number: number }, bytes: number) {
  const file = files.get(path) ?? { chunks: 0, lastChunk: -1, lastBytes: 0, smallestBytes: bytes, bytes: 0 }
  files.set(path, file)
  file.chunks += 1
  file.bytes += bytes
  file.smallestBytes = Math.min(file.smallestBytes, bytes)
  if (number > file.lastChunk) {
    file.lastChunk = number
    file.lastBytes = bytes
  }
}

const pathBytes = (path: string): number => Buffer.byteLength(path)
/** No chunk is smaller than an end chunk. */
const isWhole = (path: string, { chunks, lastChunk, lastBytes, smallestBytes }: StoredFile): boolean =>
  chunks === lastChunk + 1 && lastBytes === END_BYTES + pathBytes(path) && smallestBytes === lastBytes

/** The name of a backup whose place is the backup itself. */
const HERE = '.'
const LIST_ENDING = '.md5'
const rootOfList = (key: string): string => (key.endsWith(LIST_ENDING) ? key.slice(0, -LIST_ENDING.length) : '\0')

/** Files of which `<backup>.md5` lists a chunk that is not there: a line is the hash of an object and its name. */
function absentFrom(files: ReadonlyMap<string, StoredFile>, list: Buffer | undefined): Set<string> {
  const absent = new Set<string>()
  for (const line of list?.toString().split('\n') ?? []) {
    const [, path, digits] = /^[0-9a-f]{32} {2}(.+)\.(\d{20})$/.exec(line) ?? []
    if (path !== undefined && Number(digits) > (files.get(path)?.lastChunk ?? -1)) absent.add(path)
  }
  return absent
}

/** What the file's chunks hold: 0 of a file that has its end chunk alone. */
const payloadBytes = (path: string, { chunks, bytes, lastBytes }: StoredFile): number =>
  Math.max(0, bytes - lastBytes - (chunks - 1) * (HEADER_BYTES + pathBytes(path)))

function backupOf(
  root: string,
  found: { files: ReadonlyMap<string, StoredFile>; storedBytes: number; modifiedMs: number | null },
  metadata: MetadataObjects,
): StoredBackup {
  const { files } = found
  const known = readMetadata(root, files, metadata)
  const paths = [...files.keys()]
  const partial = new Set(paths.filter(path => !isWhole(path, files.get(path)!)))
  for (const path of absentFrom(files, metadata.get(`${root}${LIST_ENDING}`))) partial.add(path)
  const unsafe = paths.find(path => unsafePath(path) !== null)
  const encrypted = paths.some(path => splitFileName(path).encrypted)
  const hasInfo = paths.some(path => metadataRole(path) === 'info')
  const hasDeltas = paths.some(path => splitFileName(path).base.endsWith('.delta'))
  const name = root.slice(root.lastIndexOf('/') + 1)
  const missing = [
    ...(hasInfo ? [] : ['it has no xtrabackup_info, which is stored last']),
    ...(partial.size === 0 ? [] : [`chunks are missing of ${formatFirst([...partial], 3)}`]),
  ]
  const problem: StoredProblem | null =
    unsafe === undefined
      ? (known.problem ?? (missing.length === 0 ? null : incomplete(missing.join('; '))))
      : { code: 'source_corrupt', message: `it holds ${unsafePath(unsafe)}: ${JSON.stringify(unsafe)}` }
  return {
    id: root === '' ? HERE : root,
    timeMs: timeInName(name) ?? found.modifiedMs,
    kind: hasDeltas || known.checkpoints?.backupType === 'incremental' ? 'incremental' : 'full',
    baseId: null,
    fromLsn: known.checkpoints?.fromLsn ?? known.fromLsn,
    toLsn: known.checkpoints?.toLsn ?? known.toLsn,
    storedBytes: found.storedBytes,
    extractedBytes: paths.reduce((sum, path) => sum + payloadBytes(path, files.get(path)!), 0),
    files: files.size,
    complete: missing.length === 0,
    problem,
    keys: encrypted ? ["xtrabackup's encryption key"] : [],
    note: null,
    assemble: () => ({
      kind: 'concatenated',
      keys: metadataFirst(paths).flatMap(path => chunkKeys(root, path, files.get(path)!.lastChunk + 1)),
    }),
  }
}

/** The metadata tell the LSNs and versions, so they come first; then all files by name. */
const metadataFirst = (paths: readonly string[]): string[] => {
  const rank = (path: string) => (metadataRole(path) === null ? 1 : 0)
  return [...paths].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

const chunkKeys = (root: string, path: string, count: number): string[] =>
  Array.from(
    { length: count },
    (_, number) => `${root === '' ? '' : `${root}/`}${path}.${String(number).padStart(20, '0')}`,
  )

function isMetadata({ key, bytes }: ListedObject, roots: ReadonlySet<string>): boolean {
  const chunk = chunkIn(key, roots)
  const role = chunk && metadataRole(chunk.path)
  return (role === 'checkpoints' || role === 'info') && chunk?.number === 0 && bytes <= MOST_METADATA_BYTES
}

interface KnownLsns {
  checkpoints: Checkpoints | null
  fromLsn: number | null
  toLsn: number | null
  problem: StoredProblem | null
}

/** What the first chunks of the checkpoints and the info file say, where they are not encrypted. */
function readMetadata(root: string, files: ReadonlyMap<string, StoredFile>, metadata: MetadataObjects): KnownLsns {
  const texts = new Map<string, string>()
  for (const path of files.keys()) {
    const object = metadata.get(chunkKeys(root, path, 1)[0]!)
    const text = object === undefined ? null : textOf(path, object)
    if (text !== null) texts.set(splitFileName(path).base, text)
  }
  try {
    const { checkpoints, info } = parseMetadata(texts, root)
    return { checkpoints, fromLsn: info?.fromLsn ?? null, toLsn: info?.toLsn ?? null, problem: null }
  } catch (thrown) {
    if (!(thrown instanceof RestoreError)) throw thrown
    return {
      checkpoints: null,
      fromLsn: null,
      toLsn: null,
      problem: { code: 'source_corrupt', message: thrown.message },
    }
  }
}

/** Null where it is encrypted, in a compression that is not read here, or no chunk of this file. */
function textOf(path: string, object: Buffer): string | null {
  const { compression, encrypted } = splitFileName(path)
  const parsed = parseChunkHeader(object)
  if (encrypted || parsed.kind !== 'chunk' || parsed.header.path !== path) return null
  const { headerBytes, mapBytes, payloadBytes: bytes } = parsed.header
  const payload = object.subarray(headerBytes + mapBytes, headerBytes + mapBytes + bytes)
  if (compression === null) return payload.toString()
  if (compression !== 'zst') return null
  try {
    return zstdDecompressSync(payload, { maxOutputLength: MOST_METADATA_BYTES }).toString()
  } catch {
    return null // the tool that decompresses it reports what is wrong with it
  }
}
