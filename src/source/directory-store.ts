import { constants, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { RestoreError } from '../errors.ts'
import { walk } from './directory.ts'
import { MOST_READ_BYTES, type ObjectStore, pinOf, type StoredObject, tooLarge } from './object-store.ts'
import { ALL } from './transfer/http-object.ts'
import { readFile } from './transfer/read-object.ts'
import { unreadable } from './unreadable.ts'

/** A directory as a store: its files are the objects. Throws `source_missing` or `source_unreadable`. */
export function openDirectoryStore(root: string): ObjectStore {
  checkDirectory(root)
  return {
    name: root,
    async *list(prefix = '') {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1).replace(/\/+$/, '')
      if (prefix.startsWith('/') || hasDots(folder) || !isDirectory(join(root, folder))) return
      const objects: StoredObject[] = []
      for await (const { path, bytes, mtimeNs } of walk(root, folder, [], () => {}))
        if (path.startsWith(prefix))
          objects.push({ key: path, bytes, etag: null, modifiedMs: Number(mtimeNs / 1_000_000n), cold: false })
      yield* objects.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
    },
    async read(key, range) {
      const path = pathOf(root, key)
      try {
        // A FIFO would wait for a writer.
        await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
        const stats = await handle.stat()
        if (!stats.isFile()) throw new RestoreError('source_unreadable', `${path} is no regular file`)
        const start = range?.start ?? 0
        const bytes = Math.max(0, Math.min(range?.end ?? stats.size, stats.size) - start)
        if (bytes > MOST_READ_BYTES) throw tooLarge(path, bytes)
        const buffer = Buffer.alloc(bytes)
        let filled = 0
        while (filled < bytes) {
          const { bytesRead } = await handle.read(buffer, filled, bytes - filled, start + filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return buffer.subarray(0, filled)
      } catch (thrown) {
        throw unreadable(path, thrown)
      }
    },
    stream: (object, { signal } = {}) =>
      readFile(pathOf(root, object.key), { range: ALL, pin: pinOf(object), ranged: true, signal }),
    access: async key => ({ kind: 'file', path: pathOf(root, key) }),
    async close() {},
  }
}

function checkDirectory(root: string): void {
  try {
    if (statSync(root).isDirectory()) return
  } catch (thrown) {
    throw unreadable(root, thrown)
  }
  throw new RestoreError('source_unreadable', `${root} is a file, not a directory of backups`, {
    hint: 'restore it as it is: restore-agent restore FILE --datadir DIR',
  })
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

const hasDots = (key: string): boolean => key.split('/').some(part => part === '..' || part === '.')

/** Keys come from listings and from files that others wrote: none leads out of the directory. */
function pathOf(root: string, key: string): string {
  if (key !== '' && !key.startsWith('/') && !key.includes('\0') && !hasDots(key)) return join(root, key)
  throw new RestoreError('source_missing', `${root} holds no object ${JSON.stringify(key)}`)
}
