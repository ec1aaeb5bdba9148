import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { freePort } from '../../scripts/sample/server.ts'

/**
 * A MariaDB server of our own: a free port on 127.0.0.1, a socket in a folder of its own, no configuration of the
 * machine's.
 */
export interface PrivateServer {
  pid: number
  /** Runs statements; the rows, columns joined by tabs. */
  sql(statement: string): Promise<string[]>
  /** The command line of its client, for a long-running session of one's own. */
  client: readonly string[]
  /** Shuts it down and waits for its end. */
  stop(): Promise<void>
}

export async function startServer(datadir: string, options: readonly string[] = []): Promise<PrivateServer> {
  // A socket's path may have 107 bytes only, so it lies in a short folder.
  const folder = mkdtempSync(join(tmpdir(), 'ra-sock-'))
  const socket = join(folder, 's')
  const errorLog = join(folder, 'server.err')
  const server = spawn(
    'mariadbd',
    [
      '--no-defaults',
      '--user=root',
      `--datadir=${datadir}`,
      `--socket=${socket}`,
      `--port=${await freePort()}`,
      '--bind-address=127.0.0.1',
      `--pid-file=${join(folder, 'pid')}`,
      `--log-error=${errorLog}`,
      '--innodb-buffer-pool-size=128M',
      '--innodb-flush-log-at-trx-commit=0',
      ...options,
    ],
    { stdio: 'ignore' },
  )
  const exited = once(server, 'exit')
  const client = ['mariadb', '--no-defaults', '-uroot', '-S', socket, '-N', '-B']
  const sql = async (statement: string) => {
    const { stdout } = await execa(client[0]!, [...client.slice(1), '-e', statement])
    return stdout.split('\n').filter(Boolean)
  }
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) server.kill('SIGTERM')
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
  for (let tries = 0; ; tries++) {
    try {
      await sql('select 1')
      return { pid: server.pid!, sql, client, stop }
    } catch (error) {
      if (tries < 300 && server.exitCode === null && server.signalCode === null) {
        await sleep(100)
        continue
      }
      const { stdout } = await execa('tail', ['-20', errorLog], { reject: false })
      await stop()
      throw new Error(`the server on ${datadir} does not answer:\n${stdout}`, { cause: error })
    }
  }
}

/** `CHECKSUM TABLE` of every table of the sample data, as `schema.table<tab>checksum`. */
export const checksums = ({ sql }: Pick<PrivateServer, 'sql'>): Promise<string[]> =>
  sql('checksum table app.t1, app.t2, app.t3, app.t4, app.idle')

/** Small updates, inserts and deletes until told to stop; `stop` resolves when the last one is committed. */
export function startLoad({ client }: PrivateServer, seed: number): { stop: () => Promise<void> } {
  const session = spawn(client[0]!, [...client.slice(1), 'app'], { stdio: ['pipe', 'ignore', 'pipe'] })
  const exited = once(session, 'exit')
  let complaints = ''
  session.stderr.setEncoding('utf8').on('data', text => {
    complaints += text
  })
  session.stdin.on('error', () => {})
  let stopped = false
  const write = async () => {
    for (let round = seed; !stopped; round++) {
      const table = `t${(round % 4) + 1}`
      const from = (round * 7919) % 9000
      const more = session.stdin.write(
        `update ${table} set k = k + ${round} where id between ${from} and ${from + 40};
         update ${table} set b = reverse(b) where id between ${from + 300} and ${from + 330};
         insert into ${table} (k, c, b) select seq, md5(seq + ${round}), repeat(sha2(seq, 512), 4) from seq_1_to_20;
         delete from ${table} where id = ${from + 100};\n`,
      )
      if (!more) await Promise.race([once(session.stdin, 'drain'), exited])
      else await sleep(5)
    }
    session.stdin.end()
  }
  const writing = write()
  return {
    async stop() {
      stopped = true
      await writing
      const [code] = await exited
      if (code !== 0) throw new Error(`the load ended with ${code}: ${complaints}`)
    },
  }
}
