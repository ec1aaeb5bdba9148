import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectSuccess, type Workspace, workspace } from '../integration/workspace.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 120_000 })

/** A real nginx with ranges, a password and TLS, and a real forward proxy, all on loopback. */
const folder = mkdtempSync(join(tmpdir(), 'ra-nginx-'))
const [cert, accessLog, proxyLog] = ['cert.pem', 'access.log', 'tinyproxy.log'].map(name => join(folder, name)) as [
  string,
  string,
  string,
]
const running: ChildProcess[] = []
let backup: Backup
let ports: { http: number; https: number; proxy: number }

beforeAll(async () => {
  backup = await sharedBackup()
  ports = { http: await freePort(), https: await freePort(), proxy: await freePort() }
  makeCertificate()
  mkdirSync(join(folder, 'www'))
  symlinkSync(backup.full.zst, join(folder, 'www/full.xb.zst'))
  const password = execFileSync('openssl', ['passwd', '-apr1', 's3cret'], { encoding: 'utf8' }).trim()
  writeFileSync(join(folder, 'users'), `ann:${password}\n`)
  writeFileSync(join(folder, 'nginx.conf'), nginxConfig())
  writeFileSync(join(folder, 'tinyproxy.conf'), proxyConfig())
  start('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')])
  start('tinyproxy', ['-d', '-c', join(folder, 'tinyproxy.conf')])
  for (const port of Object.values(ports)) await until(() => answers(port), `a server on port ${port}`)
})

afterAll(() => {
  for (const child of running) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

function start(program: string, args: readonly string[]): void {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, PATH } })
  child.on('error', error => {
    throw error
  })
  running.push(child)
}

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

function answers(port: number): boolean {
  try {
    execFileSync('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function makeCertificate(): void {
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'key.pem'), '-out', cert]
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'ignore' })
}

const nginxConfig = () => `
daemon off;
user root;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
worker_processes 1;
events {}
http {
  access_log ${accessLog} combined;
  sendfile on;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${ports.http};
    listen 127.0.0.1:${ports.https} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${folder}/key.pem;
    root ${folder}/www;
    location /secret/ { alias ${folder}/www/; auth_basic backups; auth_basic_user_file ${folder}/users; }
  }
}
`

const proxyConfig = () => `
Port ${ports.proxy}
Listen 127.0.0.1
LogFile "${proxyLog}"
LogLevel Connect
MaxClients 100
Allow 127.0.0.1
ConnectPort ${ports.https}
`

async function expectRestored({ datadir }: Workspace): Promise<void> {
  const server = await startServer(datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
}

const log = (path: string): string => readFileSync(path, 'utf8')

test('a backup is restored from nginx, in ranges', async () => {
  const at = workspace()
  const ended = await at.restore([`http://127.0.0.1:${ports.http}/full.xb.zst`])
  expectSuccess(ended)
  expect(log(accessLog)).toMatch(/"GET \/full\.xb\.zst HTTP\/1\.1" 206 /)
  // nginx keeps no checksum of a file.
  expect(ended.stderr + ended.stdout).toMatch(/checksum +not verified: the store has none/)
  await expectRestored(at)
})

test('a password in the URL is sent to nginx; a wrong one is refused before anything is written', async () => {
  const at = workspace()
  const refused = await at.restore([`http://ann:wrong@127.0.0.1:${ports.http}/secret/full.xb.zst`])
  expect(refused.stderr).toContain('error source_denied: ')
  expectSuccess(await at.restore([`http://ann:s3cret@127.0.0.1:${ports.http}/secret/full.xb.zst`]))
  expect(log(accessLog)).toMatch(/- ann .*"GET \/secret\/full\.xb\.zst HTTP\/1\.1" 206 /)
  await expectRestored(at)
})

test('over TLS with a private CA, through a forward proxy that tunnels it', async () => {
  const at = workspace()
  const url = `https://127.0.0.1:${ports.https}/full.xb.zst`
  const proxy = { HTTPS_PROXY: `http://127.0.0.1:${ports.proxy}` }
  const untrusted = await at.restore([url], { env: proxy })
  expect(untrusted.stderr).toContain('error source_unreachable: ')
  expect(untrusted.stderr).toContain('NODE_EXTRA_CA_CERTS')
  expectSuccess(await at.restore([url], { env: { ...proxy, NODE_EXTRA_CA_CERTS: cert } }))
  expect(log(proxyLog)).toContain(`CONNECT 127.0.0.1:${ports.https}`)
  await expectRestored(at)
})

test('plain HTTP through a forward proxy; NO_PROXY goes past it', async () => {
  const url = `http://127.0.0.1:${ports.http}/full.xb.zst`
  const env = { HTTP_PROXY: `http://127.0.0.1:${ports.proxy}` }
  const passes = () =>
    log(proxyLog)
      .split('\n')
      .filter(line => line.includes(`127.0.0.1:${ports.http}`)).length
  const [past, through] = [workspace(), workspace()]
  expectSuccess(await past.restore([url], { env: { ...env, NO_PROXY: '127.0.0.1' } }))
  expect(passes()).toBe(0)
  expectSuccess(await through.restore([url], { env }))
  expect(passes()).toBeGreaterThan(0)
  await expectRestored(through)
})
