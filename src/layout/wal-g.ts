/**
 * wal-g's MySQL flavour, in `basebackups_005/`:
 *
 *   <name>_backup_stop_sentinel.json   stored when the backup has succeeded: times, sizes, what it is based on
 *   <name>/stream.<ext>                the stream in one object
 *   <name>/part_0000.<ext>             or cut into blocks, which go round robin to the parts (split-merge);
 *   <name>/part_0000_0000.<ext>        a part may have several files, each compressed by itself
 *   <name>/stream_metadata.json        of split-merge: how many parts, and the size of a block
 *
 * `<ext>` is the compression: br, lz4, lzma, gz, zst, or none. Encryption (libsodium, gpg) shows in the bytes only.
 */
import { z } from 'zod'
import { isoTime, readJson } from './json-object.ts'
import {
  type Assembly,
  incomplete,
  type Layout,
  type ListedObject,
  type MetadataObjects,
  type StoredBackup,
} from './layout.ts'
import { timeInName } from './name-time.ts'

const SENTINEL = /^((?:.*\/)?basebackups_005\/)([^/]+)_backup_stop_sentinel\.json$/s
const DATA = /^((?:.*\/)?basebackups_005\/)([^/]+)\/([^/]+)$/s
const STREAM = /^stream(?:\.(?:br|lz4|lzma|lzo|gz|zst))?$/
const PART = /^part_(\d{4})(?:_(\d{4}))?(?:\.(?:br|lz4|lzma|lzo|gz|zst))?$/

const sentinelSchema = z.object({
  StopLocalTime: z.string().optional(),
  UncompressedSize: z.number().nonnegative().optional(),
  IsPermanent: z.boolean().optional(),
  IsIncremental: z.boolean().optional(),
  LSN: z.number().nullish(),
  DeltaLSN: z.number().nullish(),
  DeltaFrom: z.string().nullish(),
})
const MOST_BLOCK_BYTES = 1 << 30
const streamMetadataSchema = z.object({
  type: z.string(),
  partitions: z.number().int().positive().max(9999).optional(),
  block_size: z.number().int().positive().max(MOST_BLOCK_BYTES).optional(),
})

export const walG: Layout = {
  name: 'wal-g',
  recognises: objects => objects.some(({ key }) => SENTINEL.test(key) || isData(key)),
  metadataKeys: objects =>
    objects.map(({ key }) => key).filter(key => SENTINEL.test(key) || DATA.exec(key)?.[3] === 'stream_metadata.json'),
  backups(objects, metadata) {
    const found = new Map<string, ListedObject[]>()
    for (const object of objects) {
      const [, folder, name] = SENTINEL.exec(object.key) ?? DATA.exec(object.key) ?? []
      if (folder === undefined) continue
      const directory = `${folder}${name}`
      found.set(directory, [...(found.get(directory) ?? []), object])
    }
    return [...found].map(([directory, its]) => backupOf(directory, its, metadata))
  },
  prefixOf: id => id.replace(/([^/]+)$/s, 'basebackups_005/$1'),
}

const isData = (key: string): boolean => {
  const file = DATA.exec(key)?.[3]
  return file !== undefined && (STREAM.test(file) || PART.test(file))
}

/** `basebackups_005/` is the same in the name of every backup. */
const idOf = (directory: string): string => directory.replace(/(^|\/)basebackups_005\/([^/]+)$/s, '$1$2')

function backupOf(directory: string, objects: readonly ListedObject[], metadata: MetadataObjects): StoredBackup {
  const sentinel = readJson(metadata, `${directory}_backup_stop_sentinel.json`, sentinelSchema)
  const told = sentinel.value
  const data = objects.filter(({ key }) => isData(key))
  const { assembly, problem } = assemblyOf(directory, data, metadata)
  const unfinished =
    sentinel.value === null ? `${sentinel.problem}, which wal-g stores when a backup has succeeded` : null
  const incremental = told?.IsIncremental === true || told?.DeltaFrom != null
  const from = told?.DeltaFrom ?? null
  return {
    id: idOf(directory),
    timeMs: isoTime(told?.StopLocalTime) ?? timeInName(directory.slice(directory.lastIndexOf('/'))),
    kind: told === null ? null : incremental ? 'incremental' : 'full',
    baseId: incremental && from !== null ? idOf(`${directory.slice(0, directory.lastIndexOf('/') + 1)}${from}`) : null,
    fromLsn: incremental ? (told?.DeltaLSN ?? null) : null,
    toLsn: told?.LSN ?? null,
    storedBytes: data.reduce((sum, { bytes }) => sum + bytes, 0),
    extractedBytes: told?.UncompressedSize ?? null,
    files: null,
    complete: unfinished === null && problem === null,
    problem:
      unfinished !== null || problem !== null
        ? incomplete((unfinished ?? problem)!)
        : incremental && from === null
          ? { code: 'chain_broken', message: 'its sentinel does not name its base' }
          : null,
    keys: [],
    note: told?.IsPermanent === true ? 'permanent' : null,
    assemble: () => assembly,
  }
}

const NOTHING: Assembly = { kind: 'concatenated', keys: [] }

function assemblyOf(
  directory: string,
  data: readonly ListedObject[],
  metadata: MetadataObjects,
): { assembly: Assembly; problem: string | null } {
  const names = data.map(({ key }) => key.slice(directory.length + 1))
  const metadataKey = `${directory}/stream_metadata.json`
  if (!metadata.has(metadataKey)) {
    const streams = names.filter(name => STREAM.test(name))
    if (streams.length === 1)
      return { assembly: { kind: 'concatenated', keys: [`${directory}/${streams[0]}`] }, problem: null }
    const problem = streams.length === 0 ? 'it has no stream' : `it has several streams: ${streams.sort().join(', ')}`
    return {
      assembly: NOTHING,
      problem: names.some(name => PART.test(name)) ? 'it has no stream_metadata.json' : problem,
    }
  }
  const { value, problem } = readJson(metadata, metadataKey, streamMetadataSchema)
  if (value === null) return { assembly: NOTHING, problem }
  if (value.type !== 'SPLIT_MERGE_STREAM_BACKUP') return assemblyOf(directory, data, new Map())
  if (value.partitions === undefined || value.block_size === undefined)
    return { assembly: NOTHING, problem: `${metadataKey} does not tell the parts and the size of their blocks` }
  return stripes(directory, names, value.partitions, value.block_size)
}

/** Whether a part has all its files, only its bytes tell: wal-g does not write how many there are. */
function stripes(
  directory: string,
  names: readonly string[],
  partitions: number,
  blockBytes: number,
): { assembly: Assembly; problem: string | null } {
  const parts = Array.from({ length: partitions }, (): string[] => [])
  const surplus: string[] = []
  for (const name of names.filter(name => PART.test(name)).sort())
    (parts[Number(PART.exec(name)![1])] ?? surplus).push(name)
  const absent = parts.findIndex(files => files.length === 0)
  const holed = parts.findIndex(
    files => files.length > 1 && files.some((name, at) => Number(PART.exec(name)![2]) !== at),
  )
  const problem =
    absent >= 0
      ? `part ${absent} of ${partitions} is missing`
      : holed >= 0
        ? `a file of part ${holed} is missing, or there are too many`
        : surplus.length > 0
          ? `it has ${partitions} parts and also ${surplus[0]}`
          : null
  const keys = parts.map(files => files.map(name => `${directory}/${name}`))
  return { assembly: { kind: 'striped', parts: keys, blockBytes }, problem }
}
