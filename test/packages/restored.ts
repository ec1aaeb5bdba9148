import { join } from 'node:path'
import { expect } from 'vitest'
import { until } from '../support/until.ts'
import type { Machine } from './chroot.ts'

const SERVER = ['--no-defaults', '--user=mysql', '--skip-networking', '--socket=/tmp/server.sock']

/** The tables of the integration tests' backup (private-server.ts), as `schema.table<tab>checksum`. */
const TABLES = 'app.t1, app.t2, app.t3, app.t4, app.idle'

/** Runs `statements` on a server of the machine's own on this datadir; gives the rows. */
export async function query(at: Machine, datadir: string, statements: string): Promise<string[]> {
  await at.run(['chown', '-R', 'mysql:mysql', datadir])
  const server = at.start(['mariadbd', ...SERVER, `--datadir=${datadir}`])
  const client = ['mariadb', '--no-defaults', '-uroot', '-S', '/tmp/server.sock', '-NB', '-e']
  try {
    await until(async () => (await at.run([...client, 'select 1'])).code === 0, `a server on ${join(at.root, datadir)}`)
    const { code, stdout, stderr } = await at.run([...client, statements])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    return stdout.split('\n').filter(Boolean)
  } finally {
    server.child.kill('SIGTERM')
    await server.ended
  }
}

export const checksumsOf = (at: Machine, datadir: string): Promise<string[]> =>
  query(at, datadir, `checksum table ${TABLES}`)
