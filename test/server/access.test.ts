import { expect, test } from 'vitest'
import { rawRequest, readAnswer } from './raw-request.ts'
import { startAgent, YAML } from './served.ts'

const TOKEN = 'correct-horse-battery-staple'
const ask = async (port: number, host: string) =>
  readAnswer(await rawRequest(port, `GET /status HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).status

test.each([
  ['127.0.0.1', 200],
  ['127.0.0.1:8321', 200],
  ['localhost:9', 200],
  ['LOCALHOST', 200],
  ['[::1]:8321', 200],
  ['evil.example', 403],
  ['evil.example:8321', 403],
  ['127.0.0.1.evil.example', 403],
  ['localhost.evil.example', 403],
  ['127.0.0.1@evil.example', 403],
  ['', 403],
])('on loopback, the Host %j is answered with %i', async (host, status) => {
  const { served } = await startAgent()
  expect(await ask(served.address.port, host)).toBe(status)
})

test('a request without any Host is refused', async () => {
  const { served } = await startAgent()
  const bare = 'GET /status HTTP/1.1\r\nConnection: close\r\n\r\n'
  expect(readAnswer(await rawRequest(served.address.port, bare)).status).toBe(403)
  expect(readAnswer(await rawRequest(served.address.port, 'GET /status HTTP/1.0\r\n\r\n')).status).toBe(403)
})

test('where there is a token it must be shown, but by probes', async () => {
  const { call } = await startAgent(`${YAML}token_file: token\n`)
  const shown = (Authorization: string) => call('GET', '/status', { headers: { Authorization } })
  expect((await shown(`Bearer ${TOKEN}`)).status).toBe(200)
  expect((await shown(`bearer  ${TOKEN}`)).status).toBe(200)
  const wrong = [
    'Bearer',
    'Bearer x',
    TOKEN,
    `Basic ${TOKEN}`,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN} x`,
  ]
  for (const header of wrong) {
    const answer = await shown(header)
    expect([header, answer.status, answer.body.error.code]).toEqual([header, 401, 'unauthorized'])
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(JSON.stringify(answer.body)).not.toContain(TOKEN)
  }
  for (const [method, path] of [
    ['GET', '/status'],
    ['GET', '/status/restore'],
    ['GET', '/restores'],
    ['GET', '/events'],
    ['GET', '/openapi.json'],
    ['POST', '/restore'],
    ['POST', '/drain'],
    ['DELETE', '/restore'],
  ] as const)
    expect([path, (await call(method, path)).status]).toEqual([path, 401])
  expect((await call('GET', '/healthz')).status).toBe(200)
  expect((await call('GET', '/readyz')).status).toBe(200)
})

test('on another address any Host will do, and the token rules', async () => {
  const { served } = await startAgent(`${YAML.replace('127.0.0.1:0', '0.0.0.0:0')}token_file: token\n`)
  expect(await ask(served.address.port, 'db7.example')).toBe(401)
  const request = `GET /status HTTP/1.1\r\nHost: db7.example\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`
  expect(readAnswer(await rawRequest(served.address.port, request)).status).toBe(200)
})

test('an address that is not loopback is refused without a token', async () => {
  await expect(startAgent(YAML.replace('127.0.0.1:0', '0.0.0.0:0'))).rejects.toMatchObject({
    code: 'config_invalid',
    message: 'serve.yaml:2:9 listen: an address that is not loopback needs a token_file',
  })
})

test('an address that is taken is refused', async () => {
  const { served } = await startAgent()
  await expect(startAgent(YAML.replace('127.0.0.1:0', `127.0.0.1:${served.address.port}`))).rejects.toMatchObject({
    code: 'listen_failed',
  })
})
