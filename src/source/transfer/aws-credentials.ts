import { RestoreError } from '../../errors.ts'
import { scrubText } from '../../secrets.ts'
import { TransientError } from './transient-error.ts'

/**
 * What of the environment tells who asks S3, and where: a transfer process gets these variables and no others of AWS.
 */
export const AWS_VARIABLES = [
  ...['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'SESSION_TOKEN', 'CREDENTIAL_EXPIRATION', 'PROFILE', 'REGION'],
  ...['DEFAULT_REGION', 'CONFIG_FILE', 'SHARED_CREDENTIALS_FILE', 'ROLE_ARN', 'ROLE_SESSION_NAME'],
  ...['WEB_IDENTITY_TOKEN_FILE', 'CONTAINER_CREDENTIALS_RELATIVE_URI', 'CONTAINER_CREDENTIALS_FULL_URI'],
  ...['CONTAINER_AUTHORIZATION_TOKEN', 'CONTAINER_AUTHORIZATION_TOKEN_FILE', 'EC2_METADATA_DISABLED'],
  ...['EC2_METADATA_SERVICE_ENDPOINT', 'EC2_METADATA_SERVICE_ENDPOINT_MODE', 'EC2_METADATA_V1_DISABLED'],
  ...['ENDPOINT_URL', 'ENDPOINT_URL_S3', 'ENDPOINT_URL_STS', 'STS_REGIONAL_ENDPOINTS', 'USE_FIPS_ENDPOINT'],
].map(name => `AWS_${name}`)

export interface AwsCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string | undefined
}

type Provider = (options?: { forceRefresh?: boolean }) => Promise<AwsCredentials>
let chain: Promise<Provider> | null = null
let isExpired = false
/** Why a source that is configured gave none: the chain goes on to the next one, and tells it to its log alone. */
let causes: string[] = []
const NOT_CONFIGURED =
  /^(?:Unable to find|Skipping|Web identity configuration not|Profile \S+ could not be found|EC2 Instance|Could not load|AWS_)/

/**
 * The credentials that the AWS SDK's standard chain finds now: environment, shared files with SSO, roles and
 * credential_process, web identity, container, instance. They are renewed five minutes before they expire, and at once
 * after `credentialsExpired`. Rejects with a TransientError, because a service that gives them may be away for a while;
 * its `last` is `credentials_failed`.
 */
export async function awsCredentials(): Promise<AwsCredentials> {
  try {
    chain ??= standardChain()
    const provider = await chain
    const forceRefresh = isExpired
    causes = []
    isExpired = false
    return await provider({ forceRefresh })
  } catch (thrown) {
    isExpired = true
    throw withoutCredentials([...new Set(causes)].join('; ') || (thrown as Error).message)
  }
}

/** The store refuses the present ones as expired. */
export function credentialsExpired(said: string): TransientError {
  isExpired = true
  return withoutCredentials(said, 'credentials expired')
}

function noteCause(line: unknown): void {
  const said = /^@smithy\/property-provider (?:->|\(!\)) ([\s\S]*)/.exec(String(line))?.[1]?.trim()
  if (said !== undefined && !NOT_CONFIGURED.test(said)) causes.push(scrubText(said.replace(/\s*\n\s*/g, ', ')))
}

const withoutCredentials = (said: string, what = 'no credentials for S3'): TransientError => {
  const message = `${what}: ${said}`
  return new TransientError('credentials', message, null, new RestoreError('credentials_failed', message))
}

async function standardChain(): Promise<Provider> {
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node')
  const quiet = () => {}
  return defaultProvider({
    logger: { debug: noteCause, info: quiet, warn: quiet, error: quiet },
    clientConfig: {
      // AWS_ENDPOINT_URL names a store, which is no STS; AWS_ENDPOINT_URL_STS does mean it.
      ignoreConfiguredEndpointUrls: process.env.AWS_ENDPOINT_URL_STS === undefined,
      requestHandler: await throughProxy(),
    },
  } as Parameters<typeof defaultProvider>[0]) as Provider
}

interface SdkRequest {
  protocol: string
  hostname: string
  port?: number
  path: string
  query: Record<string, string | string[] | null>
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body?: string | Uint8Array
}

/** Requests to STS and SSO take HTTPS_PROXY and NO_PROXY as all others of ours do; the SDK's own do not. */
async function throughProxy() {
  const { EnvHttpProxyAgent, request } = await import('undici')
  const dispatcher = new EnvHttpProxyAgent({ headersTimeout: 10_000, bodyTimeout: 10_000 })
  return {
    async handle({ protocol, hostname, port, path, query, method, headers, body }: SdkRequest) {
      const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
      for (const [name, value] of Object.entries(query))
        for (const one of Array.isArray(value) ? value : [value ?? '']) url.searchParams.append(name, one)
      const reply = await request(url, {
        dispatcher,
        method,
        headers,
        body: body ?? null,
        signal: AbortSignal.timeout(20_000),
      })
      return { response: { statusCode: reply.statusCode, headers: reply.headers, body: reply.body } }
    },
  }
}

/** AWS_REGION, AWS_DEFAULT_REGION or the profile's region; null where none is configured. */
export async function configuredRegion(): Promise<string | null> {
  const found = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION
  if (found) return found
  const { loadSharedConfigFiles } = await import('@smithy/core/config')
  const { configFile, credentialsFile } = await loadSharedConfigFiles()
  const profile = process.env.AWS_PROFILE || 'default'
  return configFile[profile]?.region ?? credentialsFile[profile]?.region ?? null
}
