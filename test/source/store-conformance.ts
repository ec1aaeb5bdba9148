import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ObjectStore, StoredObject } from '../../src/source/object-store.ts'
import { openDispatcher } from '../../src/source/transfer/access.ts'
import { readObject } from '../../src/source/transfer/read-object.ts'

/** A new store with these objects, and no others. */
export type MakeStore = (content: Record<string, Buffer>) => Promise<ObjectStore>

export async function listed(store: ObjectStore, prefix?: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = []
  for await (const object of store.list(prefix)) objects.push(object)
  return objects
}

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Names as real layouts have them, and odd ones. */
const KEYS = [
  'a-b/x',
  'a/b',
  'a/b-c',
  'cluster-2026-06-17-14:11:23-full/mysql.ibd.00000000000000000000',
  'cluster-2026-06-17-14:11:23-full.md5',
  'db/tab le+1%&?.ibd',
  'größe/ü.ibd',
  '2024-11-14T03:00:00.647931+00:00Z_1f2e/basebackup.json',
]

/** What every kind of store does. */
export function storeConformance(make: MakeStore): void {
  test('lists every key in the order of its bytes, with sizes; a prefix is one of strings', async () => {
    const content = Object.fromEntries(KEYS.map((key, index) => [key, randomBytes(index * 100)]))
    const store = await make(content)
    const all = await listed(store)
    const sorted = KEYS.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(all.map(({ key }) => key)).toEqual(sorted)
    for (const { key, bytes, cold, modifiedMs } of all) {
      expect([key, bytes, cold]).toEqual([key, content[key]!.length, false])
      expect(modifiedMs).toBeGreaterThan(Date.now() - 600_000)
    }
    const keysOf = async (prefix: string) => (await listed(store, prefix)).map(({ key }) => key)
    expect(await keysOf('a')).toEqual(['a-b/x', 'a/b', 'a/b-c'])
    expect(await keysOf('a/')).toEqual(['a/b', 'a/b-c'])
    expect(await keysOf('a/b')).toEqual(['a/b', 'a/b-c'])
    expect(await keysOf('cluster-2026-06-17-14:11:23-full')).toHaveLength(2)
    expect(await keysOf('nothing')).toEqual([])
    expect(await keysOf('nothing/at/all')).toEqual([])
    await store.close()
  })

  test('reads objects and ranges, and refuses to take a large one at once', async () => {
    const content = Object.fromEntries(KEYS.map(key => [key, randomBytes(5000)]))
    const store = await make({ ...content, large: randomBytes((16 << 20) + 1), empty: Buffer.alloc(0) })
    for (const key of KEYS) {
      expect(sha(await store.read(key))).toBe(sha(content[key]!))
      expect(await store.read(key, { start: 10, end: 20 })).toEqual(content[key]!.subarray(10, 20))
      expect(await store.read(key, { start: 4990, end: 9000 })).toEqual(content[key]!.subarray(4990))
    }
    expect(await store.read('empty')).toEqual(Buffer.alloc(0))
    expect(await store.read('large', { start: 16 << 20, end: Number.POSITIVE_INFINITY })).toHaveLength(1)
    await expect(store.read('large')).rejects.toMatchObject({ code: 'source_unreadable' })
    await expect(store.read('nothing')).rejects.toMatchObject({ code: 'source_missing' })
    await store.close()
  })

  test('a transfer reads an object with what its access and the listing say, and notices a replaced one', async () => {
    const content = randomBytes(3_000_000)
    const store = await make({ 'full.xb': content })
    const [object] = await listed(store)
    const access = await store.access('full.xb')
    const dispatcher = await openDispatcher(4)
    const read = async (size: number, start = 0) => {
      const pin = { etag: object!.etag, lastModified: null, size }
      const range = { start, end: Number.POSITIVE_INFINITY }
      const pieces: Buffer[] = []
      for await (const piece of readObject('full.xb', access, { range, pin, ranged: true }, dispatcher))
        pieces.push(piece)
      return Buffer.concat(pieces)
    }
    expect(sha(await read(object!.bytes))).toBe(sha(content))
    const streamed: Buffer[] = []
    for await (const piece of store.stream(object!)) streamed.push(piece)
    expect(sha(Buffer.concat(streamed))).toBe(sha(content))
    expect(sha(await read(object!.bytes, 1_000_000))).toBe(sha(content.subarray(1_000_000)))
    await expect(read(object!.bytes - 1)).rejects.toMatchObject({ code: 'source_changed' })
    await dispatcher.destroy()
    await store.close()
  })

  test('no key leads out of the place', async () => {
    const store = await make({ 'inside/a': Buffer.from('a') })
    for (const key of ['../inside/a', 'inside/../../secret', 'inside/./a', '/etc/hostname', '', 'a\0b'])
      await expect(store.read(key), key).rejects.toMatchObject({ code: 'source_missing' })
    expect(await listed(store, '../')).toEqual([])
    await store.close()
  })
}
