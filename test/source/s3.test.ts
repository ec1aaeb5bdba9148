import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { nameOfSource, parseSource } from '../../src/source/source-ref.ts'
import { NO_SETTINGS, type StoreSettings } from '../../src/source/store-settings.ts'
import { type Fault, type RangeServer, rangeServer } from '../support/range-server.ts'
import { scratch } from './scratch.ts'

const at = scratch()

beforeEach(() => {
  // The chain of credentials is found once in a process.
  vi.resetModules()
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  vi.stubEnv('AWS_CONFIG_FILE', at('no-config'))
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', at('no-credentials'))
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDTEST')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

const endpointOf = ({ url }: RangeServer): string => new URL(url).origin

async function open(written: string, server: RangeServer, settings: Partial<StoreSettings> = {}) {
  const { openSource } = await import('../../src/source/open-source.ts')
  const source = await openSource(parseSource(written)!, {
    ...NO_SETTINGS,
    s3Endpoint: endpointOf(server),
    ...settings,
  })
  if (source.kind !== 'stream') throw new Error('an object is a stream')
  return source
}

const answer = (status: number, code: string, more = '', headers: Record<string, string> = {}): Fault => ({
  kind: 'status',
  status,
  headers,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>it says so</Message>${more}</Error>`,
})

test.each([
  ['s3://bucket/full.xb', 'bucket', 'full.xb', null],
  ['s3://bucket/a b/ü?x#y%20/full.xb', 'bucket', 'a b/ü?x#y%20/full.xb', null],
  ['s3://bucket/full.xb?versionId=3HL4.k_-', 'bucket', 'full.xb', '3HL4.k_-'],
  ['s3://my.bucket/folder/', 'my.bucket', 'folder/', null],
])('%s is an object of S3, and its name is what was written', (written, bucket, key, versionId) => {
  const ref = parseSource(written)!
  expect(ref).toEqual({ kind: 's3', bucket, key, versionId })
  expect(nameOfSource(ref)).toBe(written)
})

test.each(['s3://', 's3:///key', 's3://-/key', 's3://user:pass@bucket/key', 's3://bucket?x'])('%s is none', text => {
  expect(parseSource(text)).toBeNull()
})

test('a request is signed for the region, and an odd key arrives as it is stored', async () => {
  const content = Buffer.from('some bytes')
  const server = await rangeServer(content)
  vi.stubEnv('AWS_SESSION_TOKEN', 'tok')
  const source = await open('s3://bucket/a b/ü+1:2?&(x).xb', server, { s3Region: 'eu-north-1' })
  expect(await source.peek()).toEqual(content)
  await source.close()
  expect(decodeURIComponent(server.paths[0]!)).toBe('/bucket/a b/ü+1:2?&(x).xb')
  expect(server.paths[0]).not.toMatch(/[ ?+]/)
  expect(server.authorizations[0]).toMatch(
    /^AWS4-HMAC-SHA256 Credential=AKIDTEST\/\d{8}\/eu-north-1\/s3\/aws4_request, /,
  )
  expect(server.authorizations[0]).toContain('x-amz-security-token')
})

describe('what S3 refuses', () => {
  test.each<[string, Fault, string, RegExp]>([
    ['no such bucket', answer(404, 'NoSuchBucket'), 'source_missing', /bucket "bucket"/],
    ['no such key', answer(404, 'NoSuchKey'), 'source_missing', /key/],
    ['access denied', answer(403, 'AccessDenied'), 'source_denied', /s3:GetObject on bucket\/full\.xb/],
    ['unknown access key', answer(403, 'InvalidAccessKeyId'), 'source_denied', /AWS_PROFILE/],
    ['wrong secret', answer(403, 'SignatureDoesNotMatch'), 'source_denied', /secret access key/],
    [
      'archived',
      answer(403, 'InvalidObjectState', '<StorageClass>DEEP_ARCHIVE</StorageClass>'),
      'source_cold',
      /DEEP_ARCHIVE/,
    ],
    ['expired', answer(400, 'ExpiredToken'), 'credentials_failed', /credentials/],
    ['elsewhere, without saying where', answer(301, 'PermanentRedirect'), 'source_unreadable', /--s3-region/],
  ])('%s', async (_, fault, code, hint) => {
    const server = await rangeServer(Buffer.from('x'))
    server.fault = () => fault
    const opened = open('s3://bucket/full.xb', server)
    await expect(opened).rejects.toMatchObject({ code, hint: expect.stringMatching(hint) })
    await expect(opened).rejects.toThrow('it says so')
  })

  test('a clock that is wrong is told by how much', async () => {
    const server = await rangeServer(Buffer.from('x'))
    const date = new Date(Date.now() - 3_600_000).toUTCString()
    server.fault = () => answer(403, 'RequestTimeTooSkewed', '', { date })
    const hint = expect.stringMatching(/^set the clock of this machine: it is 3(600|599|601) s ahead of the store's$/)
    await expect(open('s3://bucket/full.xb', server)).rejects.toMatchObject({ code: 'source_denied', hint })
  })

  test('no credentials anywhere are told before a request', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
    const server = await rangeServer(Buffer.from('x'))
    await expect(open('s3://bucket/full.xb', server)).rejects.toMatchObject({ code: 'credentials_failed' })
    expect(server.requests).toEqual([])
  })

  test('a place, a part that leads upwards and an endpoint that is no URL are told', async () => {
    const server = await rangeServer(Buffer.from('x'))
    for (const written of ['s3://bucket', 's3://bucket/folder/', 's3://bucket/a/../b'])
      await expect(open(written, server), written).rejects.toMatchObject({ code: 'usage' })
    const wrong = open('s3://bucket/full.xb', server, { s3Endpoint: 'minio:9000' })
    await expect(wrong).rejects.toMatchObject({ code: 'usage' })
    expect(server.requests).toEqual([])
  })
})

test.each<[string, Fault]>([
  ['with 400', answer(400, 'AuthorizationHeaderMalformed', '<Region>ap-south-1</Region>')],
  ['with 301', answer(301, 'PermanentRedirect', '', { 'x-amz-bucket-region': 'ap-south-1' })],
])('a bucket in another region is found there, %s, and the transfer begins there', async (_, fault) => {
  const server = await rangeServer(Buffer.from('some bytes'))
  server.fault = index => (index === 0 ? fault : { kind: 'ok' })
  const source = await open('s3://bucket/full.xb', server)
  expect(String(await source.peek())).toBe('some bytes')
  const regions = server.authorizations.map(text => text!.split('/')[2])
  expect(regions).toEqual(['us-east-1', ...Array(3).fill('ap-south-1')])
  expect(source.remote!.access).toMatchObject({ region: 'ap-south-1' })
  await source.close()
})

test.each([
  ['auto', 'path', 'http://127.0.0.1:9/base', 'http://127.0.0.1:9/base/bucket/full.xb'],
  ['virtual', 'virtual', 'https://s3.example.com', 'https://bucket.s3.example.com/full.xb'],
  ['auto', 'virtual', null, 'https://bucket.s3.eu-west-3.amazonaws.com/full.xb'],
  ['path', 'path', null, 'https://s3.eu-west-3.amazonaws.com/bucket/full.xb'],
] as const)('addressing %s is %s with the endpoint %s', async (s3Addressing, _, s3Endpoint, url) => {
  const { s3Access } = await import('../../src/source/s3.ts')
  const { s3Request } = await import('../../src/source/transfer/s3-request.ts')
  const ref = { kind: 's3', bucket: 'bucket', key: 'full.xb', versionId: null } as const
  const access = await s3Access(ref, { ...NO_SETTINGS, s3Addressing, s3Endpoint, s3Region: 'eu-west-3' })
  expect((await s3Request('x', access, null as never).authorize()).url).toBe(url)
})

describe('SSE-C', () => {
  const key = Buffer.from('0123456789abcdef0123456789abcdef')

  test.each([
    ['raw', key],
    ['base64', `${key.toString('base64')}\n`],
    ['hex', key.toString('hex')],
  ])('a key in %s is sent with each request', async (form, content) => {
    writeFileSync(at(`sse-${form}`), content)
    const { s3Access } = await import('../../src/source/s3.ts')
    const { s3Request } = await import('../../src/source/transfer/s3-request.ts')
    const ref = { kind: 's3', bucket: 'bucket', key: 'full.xb', versionId: null } as const
    const access = await s3Access(ref, { ...NO_SETTINGS, s3SseKeyFile: at(`sse-${form}`) })
    const { headers } = await s3Request('x', access, null as never).authorize()
    expect(headers['x-amz-server-side-encryption-customer-key']).toBe(key.toString('base64'))
    expect(headers['x-amz-server-side-encryption-customer-algorithm']).toBe('AES256')
  })

  test('a missing and a wrong key have their codes', async () => {
    const server = await rangeServer(Buffer.from('x'))
    const body =
      '<Error><Code>InvalidRequest</Code><Message>The object was stored using a form of Server Side Encryption.</Message></Error>'
    server.fault = () => ({ kind: 'status', status: 400, body })
    await expect(open('s3://bucket/full.xb', server)).rejects.toMatchObject({ code: 'key_missing' })
    vi.stubEnv('RESTORE_AGENT_S3_SSE_KEY', key.toString('base64'))
    await expect(open('s3://bucket/full.xb', server)).rejects.toMatchObject({ code: 'wrong_key' })
    writeFileSync(at('short'), 'too short')
    const settings = { s3SseKeyFile: at('short') }
    await expect(open('s3://bucket/full.xb', server, settings)).rejects.toMatchObject({ code: 'wrong_key' })
    await expect(open('s3://bucket/full.xb', server, { s3SseKeyFile: at('none') })).rejects.toMatchObject({
      code: 'key_missing',
    })
  })
})

describe('credentials', () => {
  /** A profile whose program gives another access key each time it is asked. */
  function changingCredentials(): void {
    const script = at('credentials.sh')
    writeFileSync(
      script,
      `#!/bin/sh
n=$(cat ${at('count')} 2>/dev/null || echo 0); n=$((n + 1)); echo $n > ${at('count')}
[ -e ${at('broken')} ] && { echo 'no network' >&2; exit 1; }
echo '{"Version":1,"AccessKeyId":"AKID'$n'","SecretAccessKey":"s","SessionToken":"t","Expiration":"2099-01-01T00:00:00Z"}'
`,
    )
    chmodSync(script, 0o755)
    writeFileSync(at('config'), `[default]\nregion = sa-east-1\ncredential_process = ${script}\n`)
    vi.stubEnv('AWS_CONFIG_FILE', at('config'))
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
  }
  const keysIn = (server: RangeServer) => server.authorizations.map(text => /=(\w+)\//.exec(text!)![1])

  test('are asked for again when the store says that they have expired', async () => {
    changingCredentials()
    const content = Buffer.alloc(3_000_000, 'abc')
    const server = await rangeServer(content)
    const source = await open('s3://bucket/full.xb', server)
    expect(server.authorizations[0]).toContain('/sa-east-1/')
    server.fault = index => (index === 2 ? answer(400, 'ExpiredToken') : { kind: 'ok' })
    const pieces: Buffer[] = []
    for await (const piece of source.bytes()) pieces.push(piece)
    expect(Buffer.concat(pieces).equals(content)).toBe(true)
    expect(keysIn(server)).toEqual(['AKID1', 'AKID1', 'AKID1', 'AKID2'])
    await source.close()
  })

  test('that cannot be renewed end the transfer in credentials_failed, after its patience', async () => {
    changingCredentials()
    const server = await rangeServer(Buffer.alloc(3_000_000, 'abc'))
    const source = await open('s3://bucket/full.xb', server)
    writeFileSync(at('broken'), '')
    server.fault = () => answer(400, 'ExpiredToken')
    const { readObject } = await import('../../src/source/transfer/read-object.ts')
    const { openDispatcher } = await import('../../src/source/transfer/access.ts')
    const { access, pin } = source.remote!
    const dispatcher = await openDispatcher(4)
    const options = { range: { start: 0, end: Number.POSITIVE_INFINITY }, pin, ranged: true, patienceMs: 1000 }
    const read = async () => {
      for await (const _ of readObject('full.xb', access, options, dispatcher));
    }
    await expect(read()).rejects.toMatchObject({
      code: 'credentials_failed',
      message: expect.stringContaining('no network'),
    })
    await dispatcher.destroy()
    await source.close()
  })

  async function refusingProxy(): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = []
    const server = createServer().on('connect', ({ url }, socket) => {
      asked.push(url!)
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
  }

  const webIdentity = () => {
    writeFileSync(at('token'), 'a.web.token')
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', at('token'))
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/restore')
    vi.stubEnv('AWS_REGION', 'eu-west-1')
  }

  test('of a web identity are asked of STS, never of the endpoint of S3', async () => {
    webIdentity()
    const server = await rangeServer(Buffer.from('x'))
    const proxy = await refusingProxy()
    vi.stubEnv('AWS_ENDPOINT_URL', endpointOf(server))
    // No request of a test leaves this machine.
    vi.stubEnv('HTTPS_PROXY', proxy.url)
    vi.stubEnv('NO_PROXY', '127.0.0.1')
    await expect(open('s3://bucket/full.xb', server, { s3Endpoint: null })).rejects.toMatchObject({
      code: 'credentials_failed',
    })
    expect(server.requests).toEqual([])
    expect(new Set(proxy.asked)).toEqual(new Set(['sts.eu-west-1.amazonaws.com:443']))
  })

  test('of a web identity come from AWS_ENDPOINT_URL_STS, and sign what is asked of S3', async () => {
    webIdentity()
    const server = await rangeServer(Buffer.from('some bytes'))
    const sts = await rangeServer(Buffer.from('x'))
    sts.fault = () => ({
      kind: 'status',
      status: 200,
      headers: { 'content-type': 'text/xml' },
      body: `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
        <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
    })
    vi.stubEnv('AWS_ENDPOINT_URL_STS', endpointOf(sts))
    const source = await open('s3://bucket/full.xb', server)
    await source.close()
    expect(new Set(keysIn(server))).toEqual(new Set(['ASIAROLE']))
  })
})
