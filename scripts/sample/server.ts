import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

/** A private MariaDB server on a datadir of ours: loopback only, a free port, a socket beside its data. */
export interface SampleServer {
  port: number
  /** Runs statements and gives the rows, tab-separated. */
  sql(statements: string): Promise<string[]>
  /** SQL SHUTDOWN, then waits; SIGKILL after a minute. Again: nothing. */
  stop(): Promise<void>
}

const env = { ...process.env, PATH: [process.env.PATH, '/usr/sbin'].join(delimiter) }
const asRoot = process.getuid?.() === 0 ? ['--user=root'] : []

/** A new, empty datadir with the system tables. `onSpawn` as `startServer` has it. */
export async function installServer(
  datadir: string,
  options: readonly string[] = [],
  onSpawn: OnSpawn = () => {},
): Promise<void> {
  mkdirSync(datadir, { recursive: true })
  const child = execa(
    'mariadb-install-db',
    [
      '--no-defaults',
      ...asRoot,
      `--datadir=${datadir}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      ...options,
    ],
    { env, stdin: 'ignore', detached: true },
  )
  let ended = false
  onSpawn(async () => {
    if (!ended) process.kill(-child.pid!, 'SIGKILL') // the script and the server that it runs
    await child.catch(() => {}) // told to whoever waits for the installation
  })
  try {
    await child
  } finally {
    ended = true
  }
}

/** Hears, as soon as there is a process, what ends it and waits for that. */
type OnSpawn = (stop: () => Promise<void>) => void

export async function startServer(
  datadir: string,
  logFile: string,
  options: readonly string[] = [],
  onSpawn: OnSpawn = () => {},
): Promise<SampleServer> {
  const port = await freePort()
  const server = execa(
    'mariadbd',
    [
      '--no-defaults',
      ...asRoot,
      `--datadir=${datadir}`,
      '--socket=server.sock', // relative to the datadir: a socket's path may have 107 bytes only
      '--pid-file=server.pid',
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--log-error=${logFile}`,
      '--innodb-flush-log-at-trx-commit=0',
      ...options,
    ],
    { env, stdio: 'ignore', reject: false, detached: true }, // detached: Ctrl-C is for us to handle, in order
  )
  const sql = async (statements: string) => {
    const { stdout } = await execa(
      'mariadb',
      ['--no-defaults', '--protocol=socket', '--socket=server.sock', '--user=root', '-NB'],
      { cwd: datadir, input: statements, env },
    )
    return stdout.split('\n').filter(Boolean)
  }
  let ended = false
  void server.then(() => {
    ended = true
  })
  const stop = async () => {
    if (ended) return
    const killer = setTimeout(() => server.kill('SIGKILL'), 60_000)
    await sql('SHUTDOWN').catch(() => server.kill('SIGTERM'))
    await server
    clearTimeout(killer)
  }
  onSpawn(stop)
  while (
    !(await sql('SELECT 1').then(
      () => true,
      () => false,
    ))
  ) {
    if (ended) throw new Error(`the sample server did not start:\n${tail(logFile)}`)
    await sleep(200)
  }
  return { port, sql, stop }
}

/** What must be equal before and after: rows and checksum of every table of the sample. */
export async function fingerprint({ sql }: SampleServer): Promise<string[]> {
  const tables = await sql(
    "SELECT CONCAT('sample.', table_name) FROM information_schema.tables WHERE table_schema = 'sample' ORDER BY table_name",
  )
  const rows = await sql(tables.map(table => `SELECT '${table}', COUNT(*) FROM ${table};`).join('\n'))
  const sums = await sql(`CHECKSUM TABLE ${tables.join(', ')};`)
  return rows.map((row, index) => `${row}\t${sums[index]!.split('\t')[1]}`)
}

const tail = (file: string): string =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-15).join('\n') : 'it wrote no log'

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}
