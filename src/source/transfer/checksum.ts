/**
 * The checksum that a store keeps of a whole object, as its replies tell it. What a store computed over parts, over an
 * encrypted form or over another encoding proves nothing about the bytes that are read, and is left out: a checksum
 * that differs ends the restore as `source_corrupt`.
 */
import type { RangeReply } from './http-object.ts'
import type { ChecksumAlgorithm, ExpectedChecksum } from './job.ts'

type Headers = RangeReply['headers']

/** Bytes of each, the quickest first: that order chooses among several. */
const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  crc32: 4,
  crc64nvme: 8,
  crc32c: 4,
  sha1: 20,
  sha256: 32,
  md5: 16,
  sha512: 64,
}
const ALGORITHMS = Object.keys(DIGEST_BYTES) as ChecksumAlgorithm[]

/** Null where the store has none. `whole`: the reply is to a request for the whole object. */
export function checksumOf(headers: Headers, whole: boolean): ExpectedChecksum | null {
  const stored = headers['x-goog-stored-content-encoding'] ?? headers['content-encoding'] ?? 'identity'
  if (stored !== 'identity') return null
  const found = new Map<string, string>([
    ...amazon(headers),
    ...listed(headers['x-goog-hash'], /^(\w+)=(.+)$/),
    ...listed(headers.digest, /^([\w-]+)=(.+)$/),
    ...listed(headers['repr-digest'], /^([\w-]+)=:(.+):$/),
    ...named('md5', headers['x-ms-blob-content-md5'] ?? (whole ? headers['content-md5'] : undefined)),
  ])
  for (const algorithm of ALGORITHMS) {
    const value = found.get(algorithm) ?? ''
    // In base64 alone: one of parts has their number behind it.
    const isDigest = /^[A-Za-z0-9+/]+=*$/.test(value) && Buffer.from(value, 'base64').length === DIGEST_BYTES[algorithm]
    if (isDigest) return { algorithm, value }
  }
  return null
}

const named = (name: string, value: string | undefined): [string, string][] =>
  value === undefined ? [] : [[name.toLowerCase().replace('-', ''), value]]

/** Lists of `name=value`, such as `crc32c=…, md5=…`; names of HTTP digests are those of algorithms, with a dash. */
function listed(text: string | undefined, form: RegExp): [string, string][] {
  return (text ?? '').split(',').flatMap(item => {
    const [, name, value] = form.exec(item.trim()) ?? []
    return name === undefined ? [] : named(name === 'SHA' || name === 'sha' ? 'sha1' : name, value)
  })
}

/**
 * S3: the checksum of the upload, unless it is one of parts (`…-3`). At AWS the ETag of an object that came in one
 * piece is its MD5, unless a key of KMS or of the customer encrypts it; other stores promise nothing of an ETag.
 */
function amazon(headers: Headers): [string, string][] {
  if (headers['x-amz-request-id'] === undefined) return []
  const found = ALGORITHMS.flatMap(name => named(name, headers[`x-amz-checksum-${name}`]))
  if (headers['x-amz-checksum-type'] === 'COMPOSITE') found.length = 0
  const hex = /^"([0-9a-f]{32})"$/.exec(headers.etag ?? '')?.[1]
  const encryption = headers['x-amz-server-side-encryption'] ?? 'AES256'
  const customer = headers['x-amz-server-side-encryption-customer-algorithm']
  if (hex !== undefined && headers.server === 'AmazonS3' && encryption === 'AES256' && customer === undefined)
    found.push(['md5', Buffer.from(hex, 'hex').toString('base64')])
  return found
}
