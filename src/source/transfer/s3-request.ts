import { createHash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import { RestoreError } from '../../errors.ts'
import { awsCredentials, credentialsExpired } from './aws-credentials.ts'
import type { ObjectRequest, RangeReply } from './http-object.ts'
import type { S3Access } from './job.ts'
import { TransientError } from './transient-error.ts'

const FIRST_REGION = 'us-east-1'

/**
 * How S3 is asked for an object, or with `query` for a list of its bucket. Each request is signed anew with the
 * credentials of its time. A store that names another region is asked there from then on: `access.region` changes.
 */
export function s3Request(
  name: string,
  access: S3Access,
  dispatcher: Dispatcher,
  query?: Record<string, string>,
): ObjectRequest {
  const authorize = async (method = 'GET') => {
    const { AwsV4Signer } = await import('aws4fetch')
    const region = access.region ?? FIRST_REGION
    const url = s3Url(access, region, query)
    const { accessKeyId, secretAccessKey, sessionToken } = await awsCredentials()
    const signer = new AwsV4Signer({
      method,
      url,
      headers: {
        ...(access.requesterPays && { 'x-amz-request-payer': 'requester' }),
        ...(query === undefined ? sseHeaders(access) : access.endpoint === null && WITH_RESTORE_STATUS),
        ...(method === 'HEAD' && { 'x-amz-checksum-mode': 'ENABLED' }),
      },
      service: 's3',
      region,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
    })
    const signed = await signer.sign()
    return { url, headers: Object.fromEntries(signed.headers) }
  }
  return {
    dispatcher,
    name,
    redirects: false, // a signature is of one host
    authorize: () => authorize(),
    head: { method: 'HEAD', authorize: () => authorize('HEAD') },
    explain: (status, body, headers) => explain(name, access, status, body, headers),
  }
}

function s3Url(access: S3Access, region: string, query: Record<string, string> = {}): string {
  const { bucket, key, endpoint, pathStyle, versionId } = access
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const url = new URL(endpoint ?? `https://s3.${region}.${domain}`)
  const base = url.pathname.replace(/\/$/, '')
  if (!pathStyle) url.hostname = `${bucket}.${url.hostname}`
  const place = pathStyle ? `${base}/${bucket}` : base
  const ofBucket = Object.keys(query).length > 0
  url.pathname = ofBucket ? place || '/' : `${place}/${key.split('/').map(encoded).join('/')}`
  const parameters = { ...query, ...(!ofBucket && versionId !== null && { versionId }) }
  // As the signature has it: a space is %20, not a plus.
  url.search = Object.entries(parameters)
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .join('&')
  return url.href
}

const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** Other stores need not know it. */
const WITH_RESTORE_STATUS = { 'x-amz-optional-object-attributes': 'RestoreStatus' }

function sseHeaders({ sseKey }: S3Access): Record<string, string> {
  if (sseKey === null) return {}
  const prefix = 'x-amz-server-side-encryption-customer'
  return {
    [`${prefix}-algorithm`]: 'AES256',
    [`${prefix}-key`]: sseKey,
    [`${prefix}-key-MD5`]: createHash('md5').update(Buffer.from(sseKey, 'base64')).digest('base64'),
  }
}

const textOf = (body: string, element: string): string | null =>
  new RegExp(`<${element}>([^<]*)</${element}>`).exec(body)?.[1]?.trim() || null

const OTHER_REGION = new Set(['PermanentRedirect', 'TemporaryRedirect', 'AuthorizationHeaderMalformed'])
const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'])
const MAY_PASS = new Set(['RequestTimeout', 'InternalError', 'ServiceUnavailable'])

/** S3's own code says more than the status. Null: the status says it all. */
function explain(
  name: string,
  access: S3Access,
  status: number,
  body: string,
  headers: RangeReply['headers'],
): Error | null {
  const code = textOf(body, 'Code')
  const message = textOf(body, 'Message') ?? ''
  const what = `${name}: S3 answers ${code ?? status}${message && ` (${message})`}`
  const error = (kind: ConstructorParameters<typeof RestoreError>[0], hint: string) =>
    new RestoreError(kind, what, { hint })
  const bucket = JSON.stringify(access.bucket)

  const region = headers['x-amz-bucket-region'] ?? textOf(body, 'Region')
  if (region && (status === 301 || status === 307 || status === 400) && region !== (access.region ?? FIRST_REGION)) {
    access.region = region
    return new TransientError('other_region', `${name}: its bucket is in ${region}`)
  }
  if (status === 301 || status === 307 || OTHER_REGION.has(code ?? ''))
    return error('source_unreadable', `the bucket ${bucket} is elsewhere: give its --s3-region or --s3-endpoint`)
  if (code === null) return null
  if (code === 'NoSuchBucket') return error('source_missing', `check the bucket ${bucket}, and --s3-endpoint`)
  if (code === 'NoSuchKey') return error('source_missing', 'check the key: it is the whole path, without a first slash')
  if (code === 'NoSuchVersion') return error('source_missing', 'check the versionId: it may have been deleted')
  if (EXPIRED.has(code)) return credentialsExpired(what)
  if (code === 'RequestTimeTooSkewed') return error('source_denied', skewHint(headers.date))
  if (code === 'InvalidAccessKeyId' || code === 'InvalidToken')
    return error('source_denied', 'the store does not know this access key: check AWS_PROFILE, AWS_ACCESS_KEY_ID')
  if (code === 'SignatureDoesNotMatch')
    return error('source_denied', 'the secret access key is not that of the access key, or a proxy changes requests')
  if (code === 'InvalidObjectState')
    return error(
      'source_cold',
      `the object is in ${textOf(body, 'StorageClass') ?? 'an archive'}: restore it there first (aws s3api restore-object), which takes minutes to hours`,
    )
  if (status === 400 && /server.side encryption|customer|encrypt/i.test(message))
    return access.sseKey === null
      ? error('key_missing', 'the object is encrypted with a key of your own (SSE-C): give --s3-sse-key-file')
      : error('wrong_key', 'the object has another key than that of --s3-sse-key-file, or none')
  if (code === 'AccessDenied' || code === 'AllAccessDisabled') return error('source_denied', deniedHint(access))
  if (code === 'SlowDown') return new TransientError('slow_down', what)
  if (MAY_PASS.has(code)) return new TransientError(String(status), what)
  if (status === 400) return error('source_unreadable', 'check the name of the bucket, the key and the options of S3')
  return null
}

function deniedHint({ bucket, key, versionId, sseKey, requesterPays }: S3Access): string {
  const action = versionId === null ? 's3:GetObject' : 's3:GetObjectVersion'
  const more = [
    sseKey !== null && 'the key of --s3-sse-key-file must be right',
    !requesterPays && 'a bucket whose reader pays needs --s3-requester-pays',
  ].filter(Boolean)
  const rights = key === '' ? `s3:ListBucket on ${bucket}` : `${action} on ${bucket}/${key}`
  return `the credentials need ${rights} (and kms:Decrypt where KMS encrypts it); ${more.join('; ')}`
}

function skewHint(date: string | undefined): string {
  const ahead = Math.round((Date.now() - Date.parse(date ?? '')) / 1000)
  if (!Number.isFinite(ahead)) return 'set the clock of this machine'
  return `set the clock of this machine: it is ${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'} the store's`
}
