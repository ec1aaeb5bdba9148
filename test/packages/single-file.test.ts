import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { freePort } from '../../scripts/sample/server.ts'
import { exitCodeOf } from '../../src/errors.ts'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { etagOf, rangeServer } from '../support/range-server.ts'
import { until } from '../support/until.ts'
import { startMockOtlpServer } from '../telemetry/mock-otlp-server.ts'
import { type Ended, type Machine, machine, type Running } from './chroot.ts'
import { checksumsOf } from './restored.ts'

/** What a database host of Debian 12 has. */
const PACKAGES = ['mariadb-backup', 'mariadb-client', 'mariadb-server-core', 'zstd']
const AGENT = '/opt/restore-agent'
const ARGS = ['--datadir', '/srv/data', '--state-dir', '/srv/state', '--owner', 'mysql:mysql']

let backup: Backup
let host: Machine

beforeAll(async () => {
  host = await machine('bookworm', PACKAGES)
  copyFileSync(inject('singleFile'), join(host.root, AGENT))
  backup = await sharedBackup()
  copyFileSync(backup.full.zst, join(host.root, 'full.xb.zst'))
  copyFileSync(backup.incremental, join(host.root, 'inc.xb'))
})
afterAll(() => host.close())
afterEach(async () => {
  const left = host.processes()
  for (const { pid } of left) process.kill(pid, 'SIGKILL')
  expect(left).toEqual([])
  await execa('rm', ['-rf', join(host.root, 'srv/data'), join(host.root, 'srv/state')])
})

const start = (args: readonly string[], env = {}): Running => host.start([AGENT, ...args], { env })
const run = (args: readonly string[], env = {}): Promise<Ended> => start(args, env).ended

const stateNow = () => {
  try {
    return JSON.parse(readFileSync(join(host.root, 'srv/state/state.json'), 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function expectSuccess(ended: Ended): void {
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  expect(ended.stderr).not.toMatch(/error|warning|hint:/)
}

describe('the file', () => {
  test('has at most 130 MB', () => expect(statSync(inject('singleFile')).size).toBeLessThan(130e6))

  test.each([
    ['GLIBC', '2.28'],
    ['GLIBCXX', '3.4.25'],
  ])('needs no newer %s than RHEL 8 has: %s', async (library, most) => {
    const { stdout } = await execa('objdump', ['-T', inject('singleFile')])
    const versions = [...stdout.matchAll(new RegExp(`\\b${library}_([\\d.]+)`, 'g'))].map(([, version]) => version!)
    expect(versions.length).toBeGreaterThan(10)
    const asNumbers = (version: string) => version.split('.').map(Number)
    const isNewer = (version: string) => {
      const [have, limit] = [asNumbers(version), asNumbers(most)]
      const differs = have.findIndex((part, index) => part !== (limit[index] ?? 0))
      return differs >= 0 && have[differs]! > (limit[differs] ?? 0)
    }
    expect(versions.filter(isNewer)).toEqual([])
  })

  test('there is no Node.js beside it', async () => {
    expect((await host.run(['sh', '-c', 'command -v node nodejs npm'])).stdout).toBe('')
  })

  test('prints its version and the help of each command', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
    for (const command of ['restore', 'serve', 'status', 'inspect', 'check']) {
      const { code, stdout } = await run([command, '--help'])
      expect([code, stdout]).toEqual([0, expect.stringContaining(`Usage: restore-agent ${command}`)])
    }
  })

  test('--licenses prints those of restore-agent, of each package that npm installs with it, and of Node.js', async () => {
    const { stdout } = await run(['--licenses'])
    const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    for (const name of ['restore-agent', ...Object.keys(dependencies), 'Node.js'])
      expect(stdout).toMatch(new RegExp(`^${name.replaceAll('/', '\\/')} \\d`, 'm'))
    expect(stdout).toMatch(/Apache License/)
    expect(stdout).toMatch(/OpenSSL, located at deps\/openssl/)
  })

  test('a reader that goes away is no error', async () => {
    const { stderr } = await host.run(['sh', '-c', `${AGENT} --licenses | head -1`])
    expect(stderr).toBe('')
  })

  test('check finds the tools of the host', async () => {
    const { code, stdout } = await run(['check', '--datadir', '/srv/data', '--json'])
    expect(code).toBe(0)
    expect(JSON.stringify(JSON.parse(stdout))).toContain('mariadb-backup')
  })
})

describe('a restore', () => {
  test('of a stream ends in equal tables', async () => {
    expectSuccess(await run(['restore', '/full.xb.zst', '--start-check', ...ARGS]))
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
  })

  test('of a chain on standard input and in files', async () => {
    expectSuccess(
      await host.run(['sh', '-c', `exec ${AGENT} restore /full.xb.zst /inc.xb "$@" </dev/null`, 'sh', ...ARGS]),
    )
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.incremental)
  })

  test('of a stream on standard input', async () => {
    expectSuccess(await host.run(['sh', '-c', `exec ${AGENT} restore - "$@" </full.xb.zst`, 'sh', ...ARGS]))
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
  })

  test('of a directory', async () => {
    await execa('cp', ['-a', backup.full.prepared, join(host.root, 'srv/prepared')])
    expectSuccess(await run(['restore', '/srv/prepared', ...ARGS]))
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
  })

  test('from an HTTP server, whose bytes another process of the single file fetches', async () => {
    const server = await rangeServer(readFileSync(backup.full.bare))
    expectSuccess(await run(['restore', server.url, ...ARGS]))
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
  })

  test('is refused where the bytes are not those of the checksum, which a thread computes', async () => {
    const server = await rangeServer(readFileSync(backup.full.bare))
    server.headers = content => ({
      etag: etagOf(content),
      'x-amz-request-id': '1',
      'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=',
    })
    const { code, stderr } = await run(['restore', server.url, ...ARGS])
    expect(stderr).toMatch(/^error source_corrupt: /m)
    expect(code).toBe(exitCodeOf('source_corrupt'))
  })

  test('is refused where the datadir is not empty', async () => {
    const { code, stderr } = await run(['restore', '/full.xb.zst', '--datadir', '/usr', '--state-dir', '/srv/state'])
    expect(stderr).toMatch(/^error datadir_not_empty: .*\n(.*\n)*hint: /m)
    expect(code).toBe(exitCodeOf('datadir_not_empty'))
  })
})

test.each(['http/protobuf', 'http/json', 'grpc'])('traces, metrics and logs are sent by %s', async protocol => {
  const backend = await startMockOtlpServer()
  try {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: protocol === 'grpc' ? backend.grpcUrl : backend.httpUrl,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    }
    expectSuccess(await run(['restore', '/full.xb.zst', ...ARGS], env))
    expect(JSON.stringify(backend.traces)).toContain('restore outcome')
    expect(JSON.stringify(backend.metrics)).toContain('restore.status')
    expect(JSON.stringify(backend.logs)).toContain('preparing_backup')
  } finally {
    await backend.close()
  }
})

test('serve restores a configured backup, shows it, and has metrics to scrape', async () => {
  const config = {
    listen: 'unix:/srv/agent.sock',
    state_dir: '/srv/state',
    defaults: { datadir: '/srv/data', owner: 'mysql:mysql' },
    backups: [{ name: 'full', source: '/full.xb.zst' }],
  }
  writeFileSync(join(host.root, 'srv/serve.yaml'), JSON.stringify(config))
  const port = await freePort()
  const daemon = start(['serve', '--config', '/srv/serve.yaml'], {
    OTEL_METRICS_EXPORTER: 'prometheus',
    OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
  })
  const socket = join(host.root, 'srv/agent.sock')
  const ask = async (path: string, ...more: string[]) =>
    (await execa('curl', ['-s', '--unix-socket', socket, ...more, `http://agent${path}`])).stdout
  await until(
    async () =>
      (await execa('curl', ['-s', '--unix-socket', socket, 'http://a/readyz'], { reject: false })).exitCode === 0,
  )
  const json = ['-H', 'content-type: application/json']
  await ask('/restore', '-X', 'POST', ...json, '-d', '{"backup":"full"}')
  await until(async () => JSON.parse(await ask('/status/restore')).phase === 'completed', 'completed', 60_000)
  const scraped = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  expect(scraped).toMatch(/^restore_status\{.*restore_state="succeeded".*\} 1/m)
  expect((await run(['status', '--url', 'unix:/srv/agent.sock'])).stdout).toContain('✓ finalize')
  daemon.child.kill('SIGTERM')
  expect((await daemon.ended).code).toBe(0)
  expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
})

/** The agent dies in a phase, tools live on; the same command is given again, and restores. */
describe('killed in', () => {
  const isIn = (phase: string) => until(() => stateNow()?.phase === phase, `the phase ${phase}`)

  async function die(agent: Running): Promise<void> {
    agent.child.kill('SIGKILL')
    await agent.ended
  }

  async function expectHealed(args: readonly string[]): Promise<void> {
    const ended = await run(args)
    expect(ended, ended.stderr).toMatchObject({ code: 0 })
    expect(stateNow()).toMatchObject({ status: 'succeeded', phase: 'completed' })
    expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)
  }

  test('getting_backup_info', async () => {
    const server = await rangeServer(readFileSync(backup.full.bare))
    server.fault = () => ({ kind: 'silent' })
    const args = ['restore', server.url, ...ARGS]
    const agent = start(args)
    await Promise.race([
      until(() => server.requests.length > 0),
      agent.ended.then(({ stderr }) => expect(stderr).toBe('')),
    ])
    await die(agent)
    server.fault = () => ({ kind: 'ok' })
    await expectHealed(args)
  })

  test('restoring_basebackup: the process that fetches lives on', async () => {
    const server = await rangeServer(readFileSync(backup.full.bare))
    server.fault = index => (index < 2 ? { kind: 'ok' } : { kind: 'slow', bytesPerSecond: 1_000_000 })
    const args = ['restore', server.url, ...ARGS]
    const agent = start(args)
    await isIn('restoring_basebackup')
    const transfer = () => host.processes().find(({ command }) => command.startsWith(`${AGENT} transfer `))
    const { pid } = await until(transfer, 'the process that fetches')
    await die(agent)
    expect(transfer()?.pid).toBe(pid)
    server.fault = () => ({ kind: 'ok' })
    await expectHealed(args)
  })

  test('preparing_backup: the tool lives on', async () => {
    const tool = '/opt/mariadb-backup'
    const script = '#!/bin/sh\ncase "$*" in *--prepare*) kill -STOP $$;; esac\nexec /usr/bin/mariadb-backup "$@"\n'
    writeFileSync(join(host.root, tool), script, { mode: 0o755 })
    const args = ['restore', '/full.xb.zst', '--tool-path', tool, ...ARGS]
    const agent = start(args)
    await isIn('preparing_backup')
    const stopped = () => host.processes().find(({ command }) => command.startsWith(`/bin/sh ${tool}`))
    const { pid } = await until(stopped, 'the stopped tool')
    await die(agent)
    const healed = expectHealed(args)
    await until(() => host.processes().some(({ command }) => command.startsWith(`${AGENT} restore`)))
    process.kill(pid, 'SIGCONT')
    await healed
  })

  test('finalizing', async () => {
    const args = ['restore', '/full.xb.zst', '--start-check', ...ARGS]
    const agent = start(args)
    await isIn('finalizing')
    await die(agent)
    await expectHealed(args)
  })
})
