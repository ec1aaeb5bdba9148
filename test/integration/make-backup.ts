import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { installServer } from '../../scripts/sample/server.ts'
import { checksums, type PrivateServer, startLoad, startServer } from './private-server.ts'

/**
 * One real backup of a MariaDB server under write load, in every form that a restore takes.
 *
 * The backup's stream is held back after its first bytes until enough redo has been written; then the writes are
 * stopped, and only after that the rest is let through. So the backup was open during the load, and yet there is one
 * truth to compare with: the tables as they stood when it ended. A second load and an incremental follow.
 */
export interface Backup {
  /** The full, by form: bare, zst, gz, lz4, bz2, xz, gpg, openssl; and the directories extracted and prepared. */
  full: Readonly<Record<StreamForm | 'extracted' | 'prepared', string>>
  incremental: string
  /** Key file of `gpg` and `openssl`; its content is `secret`. */
  keyFile: string
  secret: string
  checksums: { full: readonly string[]; incremental: readonly string[] }
  binlogPosition: string
}

export const STREAM_FORMS = ['bare', 'zst', 'gz', 'lz4', 'bz2', 'xz', 'gpg', 'openssl'] as const
export type StreamForm = (typeof STREAM_FORMS)[number]

const ROWS = 10_000
const REDO_BYTES = 6 * 1024 * 1024
const HELD_AFTER_BYTES = 2 * 1024 * 1024

export async function makeBackup(folder: string): Promise<Backup> {
  const source = join(folder, 'source')
  await installServer(source, ['--innodb-log-file-size=64M'])
  const server = await startServer(source, [
    '--innodb-log-file-size=64M',
    '--log-bin=binlog',
    '--server-id=7',
    '--innodb-doublewrite=0',
    '--innodb-autoextend-increment=4',
    '--innodb-io-capacity=5000',
  ])
  const at = (name: string) => join(folder, name)
  try {
    await fill(server)
    await checkpoint(server)
    await take(server, source, at('full.xb'), at('lsn-full'), [])
    const full = await checksums(server)
    await take(server, source, at('inc.xb'), at('lsn-inc'), [`--incremental-basedir=${at('lsn-full')}`])
    const incremental = await checksums(server)
    if (full.join() === incremental.join()) throw new Error('the load changed nothing between the two backups')
    await server.stop()
    rmSync(source, { recursive: true })
    const binlogPosition = readFileSync(at('binlog_info'), 'utf8').trim()
    const secret = `integration-secret-${Math.random().toString(36).slice(2)}`
    writeFileSync(at('key'), `${secret}\n`, { mode: 0o600 })
    return {
      full: await makeForms(folder),
      incremental: at('inc.xb'),
      keyFile: at('key'),
      secret,
      checksums: { full, incremental },
      binlogPosition,
    }
  } finally {
    await server.stop()
  }
}

async function fill({ sql }: PrivateServer): Promise<void> {
  await sql('create database app')
  const hashes = [1, 2, 3, 4, 5, 6].map(salt => `sha2(${salt} * 1e6 + seq, 512)`).join()
  for (const table of ['t1', 't2', 't3', 't4', 'idle']) {
    await sql(`create table app.${table} (id bigint unsigned primary key auto_increment, k bigint not null,
      c varchar(512) not null, b varbinary(2000) not null, key (k)) engine = innodb`)
    const rows = table === 'idle' ? 1000 : ROWS
    await sql(`use app; insert into ${table} (k, c, b) select floor(rand(1) * 1e12), repeat(md5(seq), 5),
      concat(${hashes}) from seq_1_to_${rows}`)
  }
  // Aria goes another way through the tools than InnoDB.
  await sql('create table app.old (id int primary key, word varchar(20)) engine = aria')
  await sql("use app; insert into old select seq, concat('word ', seq) from seq_1_to_100")
}

/** Everything dirty is flushed, so that the redo of the backup begins near the backup and not at the first table. */
async function checkpoint({ sql }: PrivateServer): Promise<void> {
  await sql('set global innodb_max_dirty_pages_pct = 0; set global innodb_max_dirty_pages_pct_lwm = 0')
  const age = async () => Number((await sql("show global status like 'Innodb_checkpoint_age'"))[0]!.split('\t')[1])
  for (const deadline = Date.now() + 20_000; (await age()) > 1_000_000; await sleep(100))
    if (Date.now() > deadline) throw new Error('the server makes no checkpoint')
  await sql('set global innodb_max_dirty_pages_pct = 90')
}

async function take(server: PrivateServer, datadir: string, file: string, lsnDir: string, options: readonly string[]) {
  mkdirSync(lsnDir)
  const lsn = async () => Number((await server.sql("show global status like 'Innodb_lsn_current'"))[0]!.split('\t')[1])
  const before = await lsn()
  const load = startLoad(server, options.length > 0 ? 5000 : 0)
  const socket = server.client[4]!
  const tool = spawn(
    'mariadb-backup',
    [
      '--no-defaults',
      '--backup',
      '--stream=xbstream',
      '--user=root',
      `--socket=${socket}`,
      `--datadir=${datadir}`,
      `--target-dir=${lsnDir}.tmp`,
      `--extra-lsndir=${lsnDir}`,
      ...options,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const ended = once(tool, 'close')
  let said = ''
  tool.stderr.setEncoding('utf8').on('data', text => {
    said = (said + text).slice(-20_000)
  })
  const out = createWriteStream(file)
  let held = false
  let written = 0
  for await (const piece of tool.stdout) {
    written += piece.length
    if (!out.write(piece)) await once(out, 'drain')
    if (held || written < HELD_AFTER_BYTES) continue
    held = true
    while ((await lsn()) - before < REDO_BYTES) await sleep(50)
    await load.stop()
  }
  out.end()
  await once(out, 'close')
  if (!held) await load.stop()
  const [code] = await ended
  if (code !== 0 || !said.includes('completed OK!')) throw new Error(`mariadb-backup ended with ${code}:\n${said}`)
  if (!held) throw new Error(`the stream of ${written} bytes ended before it could be held`)
  if (options.length > 0) return
  const info = readFileSync(join(lsnDir, 'xtrabackup_info'), 'utf8')
  const position = /^binlog_pos = filename '([^']+)', position '(\d+)'/m.exec(info)
  writeFileSync(join(lsnDir, '..', 'binlog_info'), `${position![1]} ${position![2]}`)
}

async function makeForms(folder: string): Promise<Backup['full']> {
  const at = (name: string) => join(folder, name)
  const shell = (command: string) => execa('bash', ['-o', 'pipefail', '-c', command], { cwd: folder })
  const [bare, extracted, prepared] = [at('full.xb'), at('extracted'), at('prepared')]
  const home = at('gnupg')
  mkdirSync(home, { mode: 0o700 })
  const gpg = `gpg --homedir ${home} --batch --quiet --no-tty --pinentry-mode loopback --passphrase-file key`
  const packed = shell('zstd -q -1 -c full.xb > full.zst').then(() =>
    Promise.all([
      shell(`${gpg} --symmetric --cipher-algo AES256 --compress-algo none -o full.gpg full.zst`).finally(
        () => shell(`gpgconf --homedir ${home} --kill gpg-agent`), // encrypting started one
      ),
      shell('openssl enc -aes-256-cbc -pbkdf2 -pass file:key -in full.zst -out full.openssl'),
    ]),
  )
  await Promise.all([
    packed,
    shell('gzip -1 -c full.xb > full.gz'),
    shell('lz4 -q -1 -c full.xb > full.lz4'),
    shell('bzip2 -1 -c full.xb > full.bz2'),
    shell('xz -0 -c full.xb > full.xz'),
    shell(
      'mkdir extracted && mbstream -x -C extracted < full.xb && cp -a extracted prepared && ' +
        'mariadb-backup --prepare --target-dir=prepared 2> prepare.log',
    ),
  ])
  return {
    bare,
    zst: at('full.zst'),
    gz: at('full.gz'),
    lz4: at('full.lz4'),
    bz2: at('full.bz2'),
    xz: at('full.xz'),
    gpg: at('full.gpg'),
    openssl: at('full.openssl'),
    extracted,
    prepared,
  }
}
