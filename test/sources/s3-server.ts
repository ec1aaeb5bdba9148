import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, connect as openSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { execa } from 'execa'
import { until } from '../support/until.ts'

const GO_TOOL = join(import.meta.dirname, '../../scripts/go-tool.sh')
const VERSITYGW = join(import.meta.dirname, 'tools/versitygw')
export const REGION = 'eu-test-1'

export interface S3Server {
  endpoint: string
  /** What the agent needs: its endpoint and the credentials of the owner of all buckets. */
  env: Record<string, string>
  put(path: string, body?: Buffer, headers?: Record<string, string>): Promise<void>
  delete(path: string): Promise<void>
  /** A user without any rights: variables of its credentials. */
  stranger(): Promise<Record<string, string>>
  /** How often an object was asked for, by anyone. */
  gets(): number
  stop(): Promise<void>
}

const ROOT = { accessKeyId: 'AKIDROOT', secretAccessKey: 'root-secret' }

/** A versitygw on loopback with an empty store of its own; whoever started it stops it. */
export async function startS3(): Promise<S3Server> {
  const { stdout: program } = await execa('sh', [GO_TOOL, VERSITYGW, 'github.com/versity/versitygw/cmd/versitygw'], {
    stderr: 'inherit',
  })
  const dir = mkdtempSync(join(tmpdir(), 'ra-s3-'))
  for (const name of ['store', 'meta', 'iam']) mkdirSync(join(dir, name))
  const [port, admin] = [await freePort(), await freePort()]
  const args = ['--port', `127.0.0.1:${port}`, '--admin-port', `127.0.0.1:${admin}`, '--region', REGION, '--quiet']
  const log = join(dir, 'access.log')
  const server = spawn(
    program,
    [
      ...args,
      '--access-log',
      log,
      '--iam-dir',
      join(dir, 'iam'),
      'posix',
      '--sidecar',
      join(dir, 'meta'),
      join(dir, 'store'),
    ],
    {
      stdio: 'ignore',
      env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: ROOT.accessKeyId, ROOT_SECRET_KEY: ROOT.secretAccessKey },
    },
  )
  await until(() => answers(port), 'versitygw listens')
  const endpoint = `http://127.0.0.1:${port}`
  const client = new AwsClient({ ...ROOT, service: 's3', region: REGION, retries: 0 })
  const call = async (method: string, path: string, body?: Buffer, headers: Record<string, string> = {}) => {
    const url = `${endpoint}/${path.split('/').map(encodeURIComponent).join('/')}`
    const reply = await client.fetch(url, { method, headers, ...(body && { body: new Uint8Array(body) }) })
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
  }
  return {
    endpoint,
    env: envOf(endpoint, ROOT.accessKeyId, ROOT.secretAccessKey),
    put: (path, body, headers) => call('PUT', path, body, headers),
    delete: path => call('DELETE', path),
    async stranger() {
      const url = ['--endpoint-url', `http://127.0.0.1:${admin}`, '--region', REGION]
      const user = ['create-user', '--access', 'AKIDSTRANGER', '--secret', 'strange', '--role', 'user']
      await execa(program, ['admin', '--access', ROOT.accessKeyId, '--secret', ROOT.secretAccessKey, ...url, ...user])
      return envOf(endpoint, 'AKIDSTRANGER', 'strange')
    },
    gets: () => readFileSync(log, 'utf8').split(' s3_GetObject ').length - 1,
    async stop() {
      server.kill('SIGKILL')
      if (server.exitCode === null) await once(server, 'exit')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const envOf = (endpoint: string, key: string, secret: string): Record<string, string> => ({
  AWS_ENDPOINT_URL_S3: endpoint,
  AWS_ACCESS_KEY_ID: key,
  AWS_SECRET_ACCESS_KEY: secret,
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = openSocket(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
