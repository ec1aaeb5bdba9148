import { expect, test } from 'vitest'
import { rawRequest, readAnswer } from './raw-request.ts'
import { AUTHORIZATION, startAgent, TOKEN, YAML } from './served.ts'

const ask = async (port: number, host: string, authorization = `${AUTHORIZATION}\r\n`) =>
  readAnswer(
    await rawRequest(port, `GET /status HTTP/1.1\r\nHost: ${host}\r\n${authorization}Connection: close\r\n\r\n`),
  ).status

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
  const { port } = await startAgent()
  expect(await ask(port(), host)).toBe(status)
})

test('a request without any Host is refused', async () => {
  const { port } = await startAgent()
  const bare = 'GET /status HTTP/1.1\r\nConnection: close\r\n\r\n'
  expect(readAnswer(await rawRequest(port(), bare)).status).toBe(403)
  expect(readAnswer(await rawRequest(port(), 'GET /status HTTP/1.0\r\n\r\n')).status).toBe(403)
})

test('where there is a token it must be shown, but by probes', async () => {
  const { call } = await startAgent(YAML)
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
    expect([path, (await call(method, path, { headers: { Authorization: '' } })).status]).toEqual([path, 401])
  expect((await call('GET', '/healthz')).status).toBe(200)
  expect((await call('GET', '/readyz')).status).toBe(200)
})

test('on another address any Host will do, and the token rules', async () => {
  const { port } = await startAgent(YAML.replace('127.0.0.1:0', '0.0.0.0:0'))
  expect(await ask(port(), 'db7.example', '')).toBe(401)
  const request = `GET /status HTTP/1.1\r\nHost: db7.example\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`
  expect(readAnswer(await rawRequest(port(), request)).status).toBe(200)
})

test.each(['0.0.0.0:0', '127.0.0.1:0', '[::1]:0'])('TCP at %s is refused without a token', async address => {
  const yaml = YAML.replace('127.0.0.1:0', `'${address}'`).replace('token_file: token\n', '')
  await expect(startAgent(yaml)).rejects.toMatchObject({
    code: 'config_invalid',
    message: 'serve.yaml:2:9 listen: a TCP address needs a token_file; a unix: path needs none',
  })
})

test('an address that is taken is refused', async () => {
  const { port } = await startAgent()
  await expect(startAgent(YAML.replace('127.0.0.1:0', `127.0.0.1:${port()}`))).rejects.toMatchObject({
    code: 'listen_failed',
  })
})
