import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { openStore } from '../../src/source/open-store.ts'
import { parseSource } from '../../src/source/source-ref.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { listed, storeConformance } from '../source/store-conformance.ts'
import { type S3Server, startS3 } from './s3-server.ts'

let server: S3Server
beforeAll(async () => {
  server = await startS3()
})
afterAll(() => server.stop())
beforeEach(() => {
  for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value)
})

let buckets = 0
async function bucketWith(content: Record<string, Buffer>, prefix = ''): Promise<string> {
  const bucket = `bucket-${buckets++}`
  await server.put(bucket)
  for (const [key, bytes] of Object.entries(content)) await server.put(`${bucket}/${prefix}${key}`, bytes)
  return bucket
}

describe('a bucket', () => {
  storeConformance(async content => openStore(parseSource(`s3://${await bucketWith(content)}`)!, NO_SETTINGS))
})

describe('a prefix of a bucket', () => {
  storeConformance(async content => {
    const bucket = await bucketWith(content, 'daily/db 1/')
    await server.put(`${bucket}/daily/db 10/a`, randomBytes(10))
    return openStore(parseSource(`s3://${bucket}/daily/db 1`)!, NO_SETTINGS)
  })
})

test('an object that was replaced by one of the same size is not the listed one', async () => {
  const bucket = await bucketWith({ a: randomBytes(3_000_000) })
  const store = await openStore(parseSource(`s3://${bucket}`)!, NO_SETTINGS)
  const [object] = await listed(store)
  await server.put(`${bucket}/a`, randomBytes(3_000_000))
  const read = async () => {
    for await (const _ of store.stream(object!));
  }
  await expect(read()).rejects.toMatchObject({ code: 'source_changed' })
  await store.close()
})

test('a list of more than a page is whole', async () => {
  const keys = Array.from({ length: 1100 }, (_, index) => `t/${String(index).padStart(20, '0')}`)
  const bucket = await bucketWith({})
  for (let at = 0; at < keys.length; at += 20)
    await Promise.all(keys.slice(at, at + 20).map(key => server.put(`${bucket}/${key}`, Buffer.from('x'))))
  const store = await openStore(parseSource(`s3://${bucket}`)!, NO_SETTINGS)
  expect((await listed(store)).map(({ key }) => key)).toEqual(keys)
  await store.close()
})

test('a bucket that is not there is told', async () => {
  const store = await openStore(parseSource('s3://no-such-bucket')!, NO_SETTINGS)
  await expect(listed(store)).rejects.toMatchObject({ code: 'source_missing' })
  await store.close()
})

test('a place without the right to list it is told, with the right that is missing', async () => {
  const bucket = await bucketWith({ a: Buffer.from('x') })
  for (const [name, value] of Object.entries(await server.stranger())) vi.stubEnv(name, value)
  vi.resetModules() // credentials are found once in a process
  const { openStore: openAnew } = await import('../../src/source/open-store.ts')
  const store = await openAnew(parseSource(`s3://${bucket}`)!, NO_SETTINGS)
  const hint = expect.stringContaining(`s3:ListBucket on ${bucket}`)
  await expect(listed(store)).rejects.toMatchObject({ code: 'source_denied', hint })
  await store.close()
})
