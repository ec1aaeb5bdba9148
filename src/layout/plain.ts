import type { Layout, ListedObject, StoredBackup } from './layout.ts'
import { timeInName } from './name-time.ts'

const PACKED = '(?:\\.(?:zst|zstd|gz|gzip|lz4|bz2|xz|lzma|br|gpg|pgp|asc|enc|age))'
const STREAM = new RegExp(`\\.(?:xb|xbs|xbstream|mbstream|stream)${PACKED}*$`)
const ENCRYPTED = /\.(gpg|pgp|asc|enc|age)(?=\.|$)/
/** `full-inc1.xb`, `incremental_2.xb.zst`, `2026-11-27-incr.xb`. */
const INCREMENTAL = /(?:^|[-_.])inc(?:r|remental)?\d*(?=[-_.]|$)/i

/** One object a backup, whatever it is called: `*.xb`, `*.xbstream`, `*.stream` in any packing. */
export const plain: Layout = {
  name: 'plain',
  recognises: objects => objects.some(({ key }) => STREAM.test(key)),
  metadataKeys: () => [],
  prefixOf: id => id,
  backups(objects) {
    const streams = objects.filter(({ key }) => STREAM.test(key))
    // Who says `--layout plain` means what is there, whatever it is called.
    return (streams.length > 0 ? streams : objects).map(object => {
      const backup = singleObjectBackup(object)
      if (!INCREMENTAL.test(nameIn(object.key))) return backup
      const message = 'an incremental by its name, and nothing here tells its base: give the chain as sources'
      return { ...backup, kind: 'incremental', problem: { code: 'chain_broken', message } }
    })
  },
}

const nameIn = (key: string): string => key.slice(key.lastIndexOf('/') + 1)

/** What a listing tells of a backup that is one object: whether it is whole, only reading it tells. */
export function singleObjectBackup({ key, bytes, modifiedMs }: ListedObject): StoredBackup {
  const encryption = ENCRYPTED.exec(nameIn(key))?.[1]
  return {
    id: key,
    timeMs: timeInName(nameIn(key)) ?? modifiedMs,
    kind: null,
    baseId: null,
    fromLsn: null,
    toLsn: null,
    storedBytes: bytes,
    extractedBytes: null,
    files: null,
    complete: bytes === 0 ? false : null,
    problem: bytes === 0 ? { code: 'source_empty', message: 'it is empty' } : null,
    keys: encryption === undefined ? [] : [`the key of its .${encryption} layer`],
    note: null,
    assemble: () => ({ kind: 'concatenated', keys: [key] }),
  }
}
