import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { fetchStatus } from '../../src/server/client.ts'
import { until } from '../support/until.ts'
import { startAgent, YAML } from './served.ts'

const configOf = async (agent: Awaited<ReturnType<typeof startAgent>>) =>
  (await agent.call('GET', '/status')).body.config
const NO_TOKEN = { headers: { Authorization: '' } }

test('backups, token, history and hooks apply at once, in mid-restore too', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  session.goTo('preparing_backup')
  const before = await configOf(agent)
  writeFileSync(join(agent.folder, 'other'), 'another-battery-staple\n')
  await agent.reload(
    `${YAML.replace('token_file: token\n', '')}  - {name: new, source: n.xb}\ntoken_file: other\nhistory: 1\n`,
  )
  expect((await agent.call('GET', '/status')).status).toBe(401)
  const shown = { headers: { Authorization: 'Bearer another-battery-staple' } }
  const { body } = await agent.call('GET', '/status', shown)
  expect(body.backups.at(-1)).toEqual({ name: 'new', elements: 1 })
  expect(body.config).toMatchObject({ error: null, pending: [] })
  expect(body.config.loaded_at > before.loaded_at).toBe(true)
  // The restore goes on with what it began with.
  expect(body.restore).toMatchObject({ restore_id: 'restore-1', phase: 'preparing_backup' })
})

test.each([
  ['no YAML', 'backups: [', 'serve.yaml:1:'],
  ['a wrong key', 'backup: []\n', 'serve.yaml:1:1 backup: unknown key (did you mean backups?)'],
  ['no token', YAML.replace('token_file: token', 'token_file: nowhere'), 'token_file'],
  ['a short token', YAML.replace('token_file: token', 'token_file: serve.yaml'), 'token_file'],
  ['TCP without a token', YAML.replace('token_file: token\n', ''), 'a TCP address needs a token_file'],
])('a file with %s changes nothing and says so', async (_, yaml, message) => {
  const agent = await startAgent()
  const before = (await agent.call('GET', '/status')).body
  await agent.reload(yaml)
  const after = (await agent.call('GET', '/status')).body
  expect(after.config.error).toContain(message)
  expect({ ...after.config, error: null }).toEqual(before.config)
  expect(after.backups).toEqual(before.backups)
  expect(agent.log.at(-1)).toContain('error reload: refused, the earlier configuration stays')
  await agent.reload(YAML)
  expect((await configOf(agent)).error).toBe(null)
})

test('a file that is gone changes nothing', async () => {
  const agent = await startAgent()
  rmSync(join(agent.folder, 'serve.yaml'))
  await agent.served.reload()
  expect((await configOf(agent)).error).toBe('serve.yaml: no such file')
})

test('another address waits for a safe phase, and is taken then', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  session.goTo('restoring_basebackup')
  const old = agent.url()
  await agent.reload(YAML.replace('127.0.0.1:0', '127.0.0.2:0').replace('name: full', 'name: changed'))
  const { config, backups } = (await agent.call('GET', '/status')).body
  expect(config.pending).toEqual(['listen'])
  expect(backups[1].name).toBe('changed')
  expect(agent.url()).toBe(old)
  session.goTo('preparing_backup')
  expect((await configOf(agent)).pending).toEqual(['listen'])
  session.goTo('finalizing')
  await until(() => agent.url() !== old)
  expect(agent.url()).toContain('http://127.0.0.2:')
  expect((await configOf(agent)).pending).toEqual([])
  await expect(fetch(`${old}/healthz`)).rejects.toThrow()
})

test('an address that cannot be had leaves the old one', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as { port: number }
  const agent = await startAgent()
  const old = agent.url()
  await agent.reload(YAML.replace('127.0.0.1:0', `127.0.0.1:${port}`))
  expect(await configOf(agent)).toMatchObject({
    error: `listen: cannot listen on 127.0.0.1:${port}: EADDRINUSE`,
    pending: [],
  })
  expect(agent.url()).toBe(old)
})

test('the same port on another address: the old one comes back where the new one fails', async () => {
  const agent = await startAgent()
  const port = agent.port()
  await agent.reload(YAML.replace('127.0.0.1:0', `192.0.2.1:${port}`))
  expect((await agent.call('GET', '/status')).body.config.error).toContain(`cannot listen on 192.0.2.1:${port}`)
  expect(agent.served.address).toEqual({ host: '127.0.0.1', port })
  await agent.reload(YAML.replace('127.0.0.1:0', `0.0.0.0:${port}`))
  expect(agent.served.address).toEqual({ host: '0.0.0.0', port })
})

test('while a TCP address is still open its token is needed, also when the new file has none', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  session.goTo('preparing_backup')
  await agent.reload(YAML.replace('listen: 127.0.0.1:0\ntoken_file: token', 'listen: unix:agent.sock'))
  expect((await agent.call('GET', '/status', NO_TOKEN)).status).toBe(401)
  expect((await configOf(agent)).pending).toEqual(['listen'])
  session.end()
  const url = `unix:${agent.folder}/agent.sock`
  await until(() => agent.url() === url)
  expect((await fetchStatus({ url, token: null })).config.pending).toEqual([])
})

test('another state dir waits until no restore runs at all', async () => {
  const agent = await startAgent()
  const session = await agent.start()
  await agent.reload(YAML.replace('state_dir: state', 'state_dir: moved'))
  session.goTo('finalizing')
  expect((await configOf(agent)).pending).toEqual(['state_dir'])
  session.end()
  await until(async () => (await configOf(agent)).pending.length === 0)
  expect(existsSync(join(agent.folder, 'moved'))).toBe(true)
  // Whoever waits for the end of it is told, and so is who asks the next agent there.
  expect((await agent.call('GET', '/status/restore')).body).toMatchObject({ status: 'succeeded' })
  expect(readFileSync(join(agent.folder, 'moved/restores.json'), 'utf8')).toContain('"last":{"restore_id":"restore-1"')
  const next = await agent.start()
  expect(next.options.stateDir).toBe(join(agent.folder, 'moved'))
})
