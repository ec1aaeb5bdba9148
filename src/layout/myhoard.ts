/**
 * MyHoard, in `<site>/<stream id>/`:
 *
 *   basebackup.xbstream, .002, .003 …   slices of one xbstream
 *   basebackup.json                     what it holds, and the key of its files, wrapped by an RSA key
 *   completed.json                      stored when the backup can be restored
 *   broken.json, preserved.json         marks of MyHoard or its operator; closed.json: no binlogs follow
 *
 * A stream id is an ISO time and a UUID: `2026-06-17T03:00:00.647931+00:00_<uuid>`, with a `Z` behind the offset
 * before 1.6.1; microseconds may be absent. An incremental names its chain in `required_streams`.
 */
import { z } from 'zod'
import { parseCheckpoints } from '../backup/checkpoints.ts'
import { RestoreError } from '../errors.ts'
import { isoTime, readJson } from './json-object.ts'
import {
  incomplete,
  type Layout,
  type ListedObject,
  type MetadataObjects,
  type StoredBackup,
  type StoredProblem,
} from './layout.ts'

const STREAM_ID = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+(?:[+-]\\d\\d:\\d\\d)?Z?_[0-9a-f-]{36}'
const FILE = new RegExp(
  `^((?:.*/)?${STREAM_ID})/(basebackup\\.(?:xbstream(?:\\.\\d{3,})?|json)|(?:completed|broken|preserved)\\.json)$`,
  's',
)
const MARKS = ['basebackup.json', 'completed.json', 'broken.json', 'preserved.json']

/** Of basebackup.json, what a restore needs. `encryption_key` is the RSA-OAEP (SHA-1) of 24 bytes, in hex. */
const basebackupSchema = z.object({
  checkpoints_file_content: z.string().nullish(),
  encryption_key: z
    .string()
    .regex(/^(?:[0-9a-f]{2})+$/i)
    .nullish(),
  end_size: z.number().nonnegative().nullish(),
  end_ts: z.number().nonnegative().nullish(),
  incremental: z.boolean().nullish(),
  required_streams: z.array(z.string()).nullish(),
  number_of_files: z.number().nonnegative().nullish(),
  number_of_splits: z.number().int().positive().max(100_000).nullish(),
  compressed_size: z.number().nonnegative().nullish(),
})
type Basebackup = z.output<typeof basebackupSchema>

export const myhoard: Layout = {
  name: 'myhoard',
  recognises: objects => objects.some(({ key }) => FILE.test(key)),
  metadataKeys: objects => objects.map(({ key }) => key).filter(key => MARKS.includes(FILE.exec(key)?.[2] ?? '')),
  backups(objects, metadata) {
    const streams = new Map<string, Map<string, ListedObject>>()
    for (const object of objects) {
      const [, directory, file] = FILE.exec(object.key) ?? []
      if (directory === undefined) continue
      streams.set(directory, (streams.get(directory) ?? new Map()).set(file!, object))
    }
    return [...streams].map(([directory, files]) => backupOf(directory, files, metadata))
  },
  prefixOf: id => `${id}/`,
  wrappedKeyOf(id, metadata) {
    const hex = readJson(metadata, `${id}/basebackup.json`, basebackupSchema).value?.encryption_key
    return hex ? Buffer.from(hex, 'hex') : null
  },
}

function backupOf(
  directory: string,
  files: ReadonlyMap<string, ListedObject>,
  metadata: MetadataObjects,
): StoredBackup {
  const { value: info, problem: infoProblem } = readJson(metadata, `${directory}/basebackup.json`, basebackupSchema)
  const splits = [...files.values()].filter(({ key }) => /\/basebackup\.xbstream(?:\.\d+)?$/.test(key))
  const count = info?.number_of_splits ?? 1
  const wanted = Array.from({ length: count }, (_, index) => splitName(index + 1))
  const absent = wanted.filter(name => !files.has(name))
  const storedBytes = splits.reduce((sum, { bytes }) => sum + bytes, 0)
  const size = info?.compressed_size ?? null
  const lsns = lsnsOf(directory, info)
  const missing = [
    ...(info === null ? [infoProblem!] : []),
    ...(files.has('completed.json') ? [] : ['it has no completed.json: MyHoard has not finished it']),
    ...(absent.length > 0 ? [`${absent.join(', ')} is missing`] : []),
    ...(absent.length === 0 && size !== null && size !== storedBytes
      ? [`its ${splits.length} slices are ${storedBytes} bytes, and were ${size}`]
      : []),
  ]
  const incremental = info?.incremental === true
  const streams = info?.required_streams ?? []
  const base = incremental ? baseOf(directory, streams) : null
  const isBroken = files.has('broken.json') && isMarkedBroken(directory, metadata)
  return {
    id: directory,
    timeMs: info?.end_ts ? info.end_ts * 1000 : isoTime(/([^/]*)_[^_]*$/.exec(directory)?.[1]),
    kind: info === null ? null : incremental ? 'incremental' : 'full',
    baseId: base,
    fromLsn: lsns.fromLsn,
    toLsn: lsns.toLsn,
    storedBytes,
    extractedBytes: info?.end_size ?? null,
    files: info?.number_of_files ?? null,
    complete: missing.length === 0,
    problem: problemOf(missing, isBroken) ?? lsns.problem ?? (incremental && base === null ? NO_BASE : null),
    keys: info?.encryption_key ? ["MyHoard's RSA private key"] : [],
    note: preservation(directory, files, metadata),
    assemble: () => ({ kind: 'concatenated', keys: wanted.map(name => `${directory}/${name}`) }),
  }
}

const NO_BASE: StoredProblem = { code: 'chain_broken', message: 'basebackup.json does not name its base' }

function problemOf(missing: readonly string[], isBroken: boolean): StoredProblem | null {
  if (missing.length > 0) return incomplete(missing.join('; '))
  return isBroken ? incomplete('MyHoard has marked it as broken (broken.json)') : null
}

const splitName = (number: number): string =>
  number === 1 ? 'basebackup.xbstream' : `basebackup.xbstream.${String(number).padStart(3, '0')}`

/** The last of the chain that is not the backup itself; MyHoard lists it without the backup. */
function baseOf(directory: string, streams: readonly string[]): string | null {
  const site = directory.slice(0, directory.lastIndexOf('/') + 1)
  const own = directory.slice(site.length)
  const base = streams.filter(id => id !== own).at(-1)
  return base === undefined ? null : `${site}${base}`
}

function lsnsOf(
  directory: string,
  info: Basebackup | null,
): { fromLsn: number | null; toLsn: number | null; problem: StoredProblem | null } {
  const text = info?.checkpoints_file_content
  if (!text) return { fromLsn: null, toLsn: null, problem: null }
  try {
    const { fromLsn, toLsn } = parseCheckpoints(text, `${directory}/basebackup.json: checkpoints_file_content`)
    return { fromLsn, toLsn, problem: null }
  } catch (thrown) {
    if (!(thrown instanceof RestoreError)) throw thrown
    return { fromLsn: null, toLsn: null, problem: { code: 'source_corrupt', message: thrown.message } }
  }
}

/** A mark counts unless it says that it does not; MyHoard removes the object instead. */
function isMarkedBroken(directory: string, metadata: MetadataObjects): boolean {
  const { value } = readJson(metadata, `${directory}/broken.json`, z.object({ broken_at: z.unknown() }))
  return value === null || Boolean(value.broken_at)
}

function preservation(
  directory: string,
  files: ReadonlyMap<string, ListedObject>,
  metadata: MetadataObjects,
): string | null {
  if (!files.has('preserved.json')) return null
  const schema = z.object({ preserve_until: z.string().nullish() })
  const until = readJson(metadata, `${directory}/preserved.json`, schema).value?.preserve_until
  return until ? `preserved until ${until}` : null
}
