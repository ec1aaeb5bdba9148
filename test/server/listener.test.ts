import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Address } from '../../src/config/serve-schema.ts'
import { fetchStatus } from '../../src/server/client.ts'
import { openListener } from '../../src/server/listener.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { startAgent, TOKEN, YAML } from './served.ts'

/** Without listen and token_file: the default. */
const DEFAULT = YAML.replace(/listen: .*\ntoken_file: .*\n/, '')

const listen = async (address: Address) => {
  const listener = await openListener(address, (_request, response) => response.end('{}'))
  onTestFinished(() => listener.close(0))
  return listener
}
const socketIn = (folder: string, group: string | null = null) => ({ path: join(folder, 'agent.sock'), group })
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

test('the default is a socket in the state dir, for its owner alone, whatever the umask', async () => {
  const umask = process.umask(0)
  onTestFinished(() => void process.umask(umask))
  const agent = await startAgent(DEFAULT)
  const path = join(agent.folder, 'state/agent.sock')
  expect(agent.url()).toBe(`unix:${path}`)
  expect(modeOf(path)).toBe('600')
  expect(modeOf(join(agent.folder, 'state'))).toBe('700')
  expect(process.umask(0)).toBe(0)
  expect((await fetchStatus({ url: agent.url(), token: null })).agent.ready).toBe(true)
})

test('socket_group: mode 0660, and the group of that name', async () => {
  const gid = Number(/^daemon:x:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))![1])
  const isRoot = process.getuid!() === 0
  const own = isRoot ? 'daemon' : String(process.getgid!())
  const folder = scratch()
  await listen(socketIn(folder, own))
  const { mode, gid: given } = statSync(join(folder, 'agent.sock'))
  expect([(mode & 0o777).toString(8), given]).toEqual(['660', isRoot ? gid : process.getgid!()])
  await expect(openListener(socketIn(scratch(), 'no-such-group'), () => {})).rejects.toMatchObject({
    code: 'listen_failed',
    message: expect.stringContaining('there is no group no-such-group'),
  })
})

test('socket_group needs a path of its own', async () => {
  await expect(startAgent(`${DEFAULT}socket_group: daemon\n`)).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('socket_group: needs listen: unix:PATH'),
  })
})

test.each(['777', '770', '1777'])(
  'a directory of mode 0%s is refused: another user could replace the socket',
  async mode => {
    const folder = scratch()
    chmodSync(folder, Number.parseInt(mode, 8))
    await expect(openListener(socketIn(folder), () => {})).rejects.toMatchObject({
      code: 'listen_failed',
      message: expect.stringContaining(`another user can write ${folder}`),
    })
    expect(existsSync(join(folder, 'agent.sock'))).toBe(false)
  },
)

test('so is one below such a directory, also through a link', async () => {
  const folder = scratch()
  mkdirSync(join(folder, 'open/own'), { recursive: true, mode: 0o700 })
  symlinkSync(join(folder, 'open/own'), join(folder, 'link'))
  chmodSync(join(folder, 'open'), 0o777)
  for (const name of ['open/own', 'link'])
    await expect(openListener(socketIn(join(folder, name)), () => {})).rejects.toMatchObject({ code: 'listen_failed' })
})

test('the socket of a killed agent is replaced; one that answers, or another file, is not', async () => {
  const folder = scratch()
  // Its name is moved away, so that closing it does not remove the file.
  const dead = createServer().listen(join(folder, 'dead'))
  await until(() => dead.listening)
  renameSync(join(folder, 'dead'), join(folder, 'agent.sock'))
  await new Promise(resolve => dead.close(resolve))
  await listen(socketIn(folder))
  await expect(openListener(socketIn(folder), () => {})).rejects.toMatchObject({
    code: 'listen_failed',
    message: expect.stringContaining('EADDRINUSE'),
  })
  const other = scratch()
  writeFileSync(join(other, 'agent.sock'), 'precious')
  await expect(openListener(socketIn(other), () => {})).rejects.toMatchObject({ code: 'listen_failed' })
  expect(readFileSync(join(other, 'agent.sock'), 'utf8')).toBe('precious')
})

test('a path that is too long for a socket is told', async () => {
  await expect(openListener(socketIn(join(scratch(), 'x'.repeat(120))), () => {})).rejects.toMatchObject({
    code: 'listen_failed',
    message: expect.stringContaining('at most 107 bytes'),
  })
})

test('300 idle connections do not keep a client out, and a stream that is read stays', async () => {
  const agent = await startAgent()
  const stream = await fetch(`${agent.url()}/events`, { headers: { Authorization: `Bearer ${TOKEN}` } })
  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  let connected = 0
  for (let n = 0; n < 300; n++)
    sockets.push(connect(agent.port(), '127.0.0.1', () => connected++).on('error', () => {}))
  await until(() => connected === 300)
  const startedAt = performance.now()
  expect((await fetchStatus({ url: agent.url(), token: TOKEN })).agent.version).toBe('1.2.3')
  // Before the idle ones have timed out.
  expect(performance.now() - startedAt).toBeLessThan(4_000)
  const reader = stream.body!.getReader()
  expect((await reader.read()).done).toBe(false)
  await reader.cancel()
})
