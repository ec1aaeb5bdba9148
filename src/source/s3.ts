import { readFileSync } from 'node:fs'
import { RestoreError } from '../errors.ts'
import { openRemoteSource } from './remote.ts'
import type { StreamSource } from './source.ts'
import { nameOfSource, type RefOf } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'
import { configuredRegion } from './transfer/aws-credentials.ts'
import type { S3Access } from './transfer/job.ts'
import { unreadable } from './unreadable.ts'

/** Opens an object of S3. Throws what `openRemoteSource` throws, `source_cold`, `key_missing`, `wrong_key`. */
export async function openS3Source(ref: RefOf<'s3'>, settings: StoreSettings): Promise<StreamSource> {
  if (ref.key === '' || ref.key.endsWith('/'))
    throw new RestoreError('usage', `${nameOfSource(ref)} is a bucket or a folder, not one backup`, {
      hint: 'name the object: s3://BUCKET/KEY',
    })
  return openRemoteSource(ref, await s3Access(ref, settings))
}

/** Throws `usage` for an endpoint that is no URL and a key that no URL can name; `key_missing` and `wrong_key`. */
export async function s3Access(ref: RefOf<'s3'>, settings: StoreSettings): Promise<S3Access> {
  const { s3Addressing, s3RequesterPays } = settings
  const endpoint = settings.s3Endpoint ?? endpointIn(process.env)
  if (endpoint !== null && !/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/i.test(endpoint))
    throw new RestoreError('usage', 'the endpoint of S3 must be an http or https URL without a user', {
      hint: 'correct --s3-endpoint, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL',
    })
  // A host name of a certificate has one label in front of the domain, and a bucket with dots would add more.
  const pathStyle = s3Addressing === 'auto' ? endpoint !== null || ref.bucket.includes('.') : s3Addressing === 'path'
  if (ref.key.split('/').some(part => part === '.' || part === '..'))
    throw new RestoreError('usage', `${nameOfSource(ref)}: a key with a part . or .. cannot be asked for`, {
      hint: 'copy the object to another key',
    })
  return {
    kind: 's3',
    bucket: ref.bucket,
    key: ref.key,
    versionId: ref.versionId,
    endpoint,
    region: settings.s3Region ?? (await configuredRegion()),
    pathStyle,
    requesterPays: s3RequesterPays,
    sseKey: sseKeyOf(settings),
  }
}

const endpointIn = (env: NodeJS.ProcessEnv): string | null =>
  /^true$/i.test(env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS ?? '')
    ? null
    : env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || null

/** 32 bytes, in base64: of a file as they are, in base64 or in hex; of the environment in base64 or hex. */
function sseKeyOf({ s3SseKeyFile }: StoreSettings): string | null {
  const variable = process.env.RESTORE_AGENT_S3_SSE_KEY
  if (s3SseKeyFile === null && !variable) return null
  const name = s3SseKeyFile ?? 'RESTORE_AGENT_S3_SSE_KEY'
  const content = s3SseKeyFile === null ? Buffer.from(variable!) : readKeyFile(s3SseKeyFile)
  const text = content.toString('latin1').trim()
  const forms = [
    content,
    ...(/^[0-9a-f]{64}$/i.test(text) ? [Buffer.from(text, 'hex')] : []),
    ...(/^[A-Za-z0-9+/]{43}=$/.test(text) ? [Buffer.from(text, 'base64')] : []),
  ]
  const key = forms.find(({ length }) => length === 32)
  if (key !== undefined) return key.toString('base64')
  throw new RestoreError('wrong_key', `${name} holds no key of SSE-C`, {
    hint: 'it must be 32 bytes, as they are, in base64 or in hex: openssl rand -base64 32',
  })
}

function readKeyFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (thrown) {
    throw new RestoreError('key_missing', unreadable(path, thrown).message, { hint: 'correct --s3-sse-key-file' })
  }
}
