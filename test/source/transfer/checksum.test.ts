import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { createCRC32, createCRC64 } from 'hash-wasm'
import { expect, test } from 'vitest'
import { checksumOf } from '../../../src/source/transfer/checksum.ts'
import { checked } from '../../../src/source/transfer/hash-thread.ts'
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from '../../../src/source/transfer/job.ts'
import { newStats } from '../../../src/source/transfer/stats.ts'

const STORE = { 'x-amz-request-id': '4442587FB7D0A2F9' }
const S3 = { ...STORE, server: 'AmazonS3' }
const MD5 = createHash('md5').update('123456789')
const HEX = MD5.copy().digest('hex')
const ETAG = { etag: `"${HEX}"` }
const MD5_BASE64 = MD5.digest('base64')

test.each<[string, Record<string, string>, string | null]>([
  [
    'S3, crc64nvme',
    { ...S3, 'x-amz-checksum-crc64nvme': 'rosUhgp5mIg=', 'x-amz-checksum-type': 'FULL_OBJECT' },
    'crc64nvme rosUhgp5mIg=',
  ],
  ['S3, crc32c before the MD5', { ...S3, ...ETAG, 'x-amz-checksum-crc32c': '4waSgw==' }, 'crc32c 4waSgw=='],
  ['S3, of parts', { ...S3, 'x-amz-checksum-crc32c': '4waSgw==-3' }, null],
  ['S3, of parts by type', { ...S3, 'x-amz-checksum-crc32c': '4waSgw==', 'x-amz-checksum-type': 'COMPOSITE' }, null],
  ['S3, an ETag of one piece', { ...S3, ...ETAG }, `md5 ${MD5_BASE64}`],
  ['S3, an ETag of parts', { ...S3, etag: `"${HEX}-12"` }, null],
  ['S3, an ETag under KMS', { ...S3, ...ETAG, 'x-amz-server-side-encryption': 'aws:kms' }, null],
  [
    'S3, an ETag under a customer key',
    { ...S3, ...ETAG, 'x-amz-server-side-encryption-customer-algorithm': 'AES256' },
    null,
  ],
  ['another store that speaks S3, an ETag', { ...STORE, ...ETAG }, null],
  ['an ETag elsewhere', ETAG, null],
  ['Google', { 'x-goog-hash': `crc32c=4waSgw==, md5=${MD5_BASE64}` }, 'crc32c 4waSgw=='],
  ['Google, unpacked on the way', { 'x-goog-hash': 'crc32c=4waSgw==', 'x-goog-stored-content-encoding': 'gzip' }, null],
  ['Azure', { 'x-ms-blob-content-md5': MD5_BASE64 }, `md5 ${MD5_BASE64}`],
  ['Digest', { digest: `MD5=${MD5_BASE64}` }, `md5 ${MD5_BASE64}`],
  [
    'Digest, two',
    { digest: `md5=${MD5_BASE64},sha=98O8HYCOBHMq31eZZczDTKeuNEE=` },
    'sha1 98O8HYCOBHMq31eZZczDTKeuNEE=',
  ],
  ['Repr-Digest', { 'repr-digest': `md5=:${MD5_BASE64}:` }, `md5 ${MD5_BASE64}`],
  ['Content-Digest, which is of the part', { 'content-digest': `md5=:${MD5_BASE64}:` }, null],
  ['of an encoded form', { digest: `md5=${MD5_BASE64}`, 'content-encoding': 'gzip' }, null],
  ['a wrong length', { digest: 'md5=4waSgw==' }, null],
  ['none', {}, null],
])('the checksum in the headers of %s', (_, headers, expected) => {
  const found = checksumOf(headers, false)
  expect(found && `${found.algorithm} ${found.value}`).toBe(expected)
})

test('Content-MD5 counts where the whole object was asked for', () => {
  expect(checksumOf({ 'content-md5': MD5_BASE64 }, true)).toEqual({ algorithm: 'md5', value: MD5_BASE64 })
  expect(checksumOf({ 'content-md5': MD5_BASE64 }, false)).toBeNull()
})

const BYTES = Buffer.alloc(9_000_001, 'some bytes of a backup, ')

/** Pieces of many lengths: empty ones, and longer than a slot of the ring. */
async function* pieces(bytes = BYTES): AsyncGenerator<Buffer> {
  const lengths = [0, 1, 65_536, 65_537, 3, 200_000, 16_384]
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length]!
    yield bytes.subarray(at, at + length)
    at += length
  }
}

async function digestOf(algorithm: ChecksumAlgorithm): Promise<string> {
  if (algorithm === 'crc32') return Buffer.from(crc32(BYTES).toString(16).padStart(8, '0'), 'hex').toString('base64')
  if (algorithm !== 'crc32c' && algorithm !== 'crc64nvme') return createHash(algorithm).update(BYTES).digest('base64')
  const hash = algorithm === 'crc32c' ? await createCRC32(0x82f63b78) : await createCRC64('9a6c9329ac4bc9b5')
  return Buffer.from(hash.init().update(BYTES).digest(), 'hex').toString('base64')
}

async function all(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const found: Buffer[] = []
  for await (const piece of bytes) found.push(piece)
  return Buffer.concat(found)
}

test.each(CHECKSUM_ALGORITHMS)('bytes are compared with a %s while they pass', async algorithm => {
  const expected = { algorithm, value: await digestOf(algorithm) }
  const stats = newStats()
  expect((await all(checked(pieces(), 'the backup', expected, stats))).equals(BYTES)).toBe(true)
  expect(stats.checksums).toEqual({ verified: 1, none: 0, unknown: 0 })
  const changed = Buffer.from(BYTES)
  changed[5_000_000]! ^= 1
  await expect(all(checked(pieces(changed), 'the backup', expected, stats))).rejects.toMatchObject({
    code: 'source_corrupt',
    message: expect.stringContaining(expected.value),
  })
  expect(stats.checksums.verified).toBe(1)
})

test('the polynomials are those of the check values', async () => {
  const check = Buffer.from('123456789')
  for (const [algorithm, value] of [
    ['crc64nvme', 'rosUhgp5mIg='],
    ['crc32c', '4waSgw=='],
  ] as const) {
    const stats = newStats()
    await all(checked(pieces(check), 'the backup', { algorithm, value }, stats))
    expect(stats.checksums.verified).toBe(1)
  }
})

test('an object without a checksum is counted as that', async () => {
  const stats = newStats()
  await all(checked(pieces(), 'the backup', null, stats))
  expect(stats.checksums).toEqual({ verified: 0, none: 1, unknown: 0 })
})
