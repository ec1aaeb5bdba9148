import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Agent, startAgent } from '../integration/workspace.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'
import { attack } from './other-user.ts'

/** A daemon of root's, another local user, and servers that answer what they should not. */
async function startDaemon(yaml: object): Promise<{ folder: string; daemon: Agent; socket: string }> {
  const folder = scratch()
  chmodSync(folder, 0o755)
  const settings = {
    state_dir: 'state',
    defaults: { datadir: 'data' },
    backups: [{ name: 'full', source: '/none.xb' }],
  }
  writeFileSync(join(folder, 'serve.yaml'), JSON.stringify({ ...settings, ...yaml }))
  const daemon = startAgent(['serve', '--config', join(folder, 'serve.yaml')])
  onTestFinished(async () => {
    daemon.child.kill('SIGKILL')
    await daemon.ended
  })
  return { folder, daemon, socket: join(folder, 'state/agent.sock') }
}

const status = (socket: string) => startAgent(['status', '--json', '--url', `unix:${socket}`]).ended

test('without a setting it listens on a socket that only its user can open', async () => {
  const { socket } = await startDaemon({})
  await until(() => existsSync(socket))
  expect(statSync(socket).mode & 0o177).toBe(0)
  const attacker = attack(
    `perl -MIO::Socket::UNIX -e '
      my $s = IO::Socket::UNIX->new(Peer => $ENV{SOCKET}) or die "kept out: $!\\n";
      print $s "POST /drain HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n"; print scalar <$s>' 2>&1; sleep 60`,
    { SOCKET: socket },
  )
  await new Promise(resolve => setTimeout(resolve, 1000))
  expect(await attacker.stop()).toMatch(/^kept out: Permission denied$/m)
  expect(await status(socket)).toMatchObject({ code: 0 })
})

test('a TCP address without a token is refused, also on loopback', async () => {
  for (const listen of ['127.0.0.1:0', 'localhost:0', '[::1]:0']) {
    const { daemon } = await startDaemon({ listen })
    const { code, stderr } = await daemon.ended
    expect(code, stderr).toBe(3)
    expect(stderr).toMatch(/^error config_invalid: .*token_file/m)
  }
})

test('hundreds of idle connections do not keep the next request out', async () => {
  const { socket } = await startDaemon({})
  await until(() => existsSync(socket))
  const idle: Socket[] = []
  onTestFinished(() => {
    for (const connection of idle) connection.destroy()
  })
  for (let n = 0; n < 400; n++) idle.push(connect(socket).on('error', () => {}))
  await new Promise(resolve => setTimeout(resolve, 500))
  expect(await status(socket)).toMatchObject({ code: 0 })
})

test('status reads no answer without end', async () => {
  const socket = join(scratch(), 's')
  const server = createServer(connection => {
    connection.on('error', () => {}).write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"a":"')
    const more = () => {
      while (!connection.destroyed && connection.write('x'.repeat(1 << 20)));
    }
    connection.on('drain', more)
    more()
  }).listen(socket)
  onTestFinished(() => void server.close())
  await until(() => existsSync(socket))
  const { code, stderr, stdout } = await status(socket)
  expect(code, stderr).toBeGreaterThan(0)
  expect(stderr.length + stdout.length).toBeLessThan(5000)
  expect(`${stderr}${stdout}`).not.toMatch(/internal/)
})

test.for(['restore', 'serve'])('sixty thousand unknown keys of %s.yaml are told in a few lines', async command => {
  const file = join(scratch(), `${command}.yaml`)
  writeFileSync(file, Array.from({ length: 60_000 }, (_, index) => `key${index}: ${index}\n`).join(''))
  const { code, stderr, elapsedMs } = await startAgent([command, '--config', file]).ended
  expect(code, stderr.slice(0, 500)).toBe(3)
  expect(stderr.length).toBeLessThan(10_000)
  expect(elapsedMs).toBeLessThan(60_000)
})
