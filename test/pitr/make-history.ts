import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, createWriteStream, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { installServer } from '../../scripts/sample/server.ts'
import { xaId } from '../../src/restore/steps/apply-binlogs.ts'
import { type PrivateServer, startServer } from '../integration/private-server.ts'

/**
 * A server of MariaDB, a backup of it, and what was done to it afterwards, step by step. After each step nobody writes,
 * and what the server then holds is noted: that is what a restore to this point must hold too.
 */
export interface History {
  /** A stream of mariadb-backup, compressed with zstd. */
  backup: string
  /** The directory of the binlogs, and their names in order. */
  binlogs: string
  names: readonly string[]
  /** By the name of the step. */
  marks: Readonly<Record<StepName, Mark>>
}

export interface Mark {
  gtid: string
  file: string
  position: number
  /** Unix ms; the next step begins more than a second later. */
  atMs: number
  truth: Truth
}

/** What is compared. */
export interface Truth {
  checksums: readonly string[]
  definitions: readonly string[]
  events: readonly string[]
  users: readonly string[]
  prepared: readonly string[]
}

export const STEP_NAMES = ['backup', 'row', 'ddl', 'mixed', 'statement', 'xa', 'compressed', 'huge', 'end'] as const
export type StepName = (typeof STEP_NAMES)[number]

const TABLES = [1, 2, 3, 4, 5, 6, 7, 8].map(number => `app.t${number}`)
const ROWS = 2000

export async function makeHistory(folder: string): Promise<History> {
  chmodSync(folder, 0o755)
  const source = join(folder, 'source')
  await installServer(source, ['--innodb-log-file-size=64M'])
  const server = await startServer(source, [
    '--innodb-log-file-size=64M',
    '--innodb-buffer-pool-size=256M',
    '--log-bin=binlog',
    '--server-id=7',
    '--binlog-format=ROW',
    '--max-binlog-size=2M',
    '--event-scheduler=OFF',
    '--max-allowed-packet=256M',
  ])
  const binlogs = join(folder, 'binlogs')
  mkdirSync(binlogs)
  const marks: Partial<Record<StepName, Mark>> = {}
  const mark = async (name: StepName) => {
    marks[name] = await markOf(server)
    await sleep(1100) // times in binlogs are of whole seconds
  }
  try {
    await fill(server)
    await takeBackup(server, source, join(folder, 'backup.zst'))
    await mark('backup')
    for (const name of STEP_NAMES.slice(1)) {
      await STEPS[name as keyof typeof STEPS](server)
      await mark(name)
    }
    await server.sql('flush binary logs')
    const names = readdirSync(source)
      .filter(name => /^binlog\.\d+$/.test(name))
      .sort()
    for (const name of names) copyFileSync(join(source, name), join(binlogs, name))
    await server.stop()
    rmSync(source, { recursive: true })
    return { backup: join(folder, 'backup.zst'), binlogs, names, marks: marks as Record<StepName, Mark> }
  } finally {
    if (existsSync(source)) await server.stop()
  }
}

async function markOf(server: PrivateServer): Promise<Mark> {
  const [status] = await server.sql('show master status')
  const [file, position] = status!.split('\t')
  const [gtid] = await server.sql('select @@gtid_binlog_pos')
  return { gtid: gtid!, file: file!, position: Number(position), atMs: Date.now(), truth: await truthOf(server) }
}

/** Of a server that nobody writes to; `app` holds all that is compared. */
export async function truthOf({ sql }: Pick<PrivateServer, 'sql'>): Promise<Truth> {
  const tables = await sql(
    "select concat('app.', table_name) from information_schema.tables where table_schema = 'app' \
    and table_type = 'BASE TABLE' order by 1",
  )
  const prepared = await sql("xa recover format='SQL'")
  return {
    // A prepared transaction does not hinder CHECKSUM TABLE: it reads what is committed.
    checksums: await sql(`checksum table ${tables.join(', ')} extended`),
    definitions: await sql(
      "select table_name, column_name, column_type, column_key, extra from information_schema.columns \
       where table_schema = 'app' order by 1, ordinal_position",
    ),
    events: await sql('select db, name, status from mysql.event order by 1, 2'),
    users: await sql(
      "select concat(user, '@', host, ' ', ifnull(json_value(priv, '$.authentication_string'), '')) from mysql.global_priv order by 1",
    ),
    prepared: prepared.map(xaId),
  }
}

async function fill({ sql }: PrivateServer): Promise<void> {
  await sql('create database app')
  for (const table of TABLES)
    await sql(`use app; create table ${table} (id int primary key auto_increment, k int not null, c char(60),
      pad varchar(200), key (k)) engine = innodb; insert into ${table} (k, c, pad)
      select seq, md5(seq), repeat(md5(seq), 6) from seq_1_to_${ROWS}`)
  await sql(`use app; create table parent (id int primary key) engine = innodb;
    create table child (id int primary key auto_increment, parent int, foreign key (parent) references parent (id)
      on delete cascade on update cascade) engine = innodb;
    create table isam (a int, word varchar(60)) engine = myisam;
    create table aria (a int primary key, word varchar(60)) engine = aria;
    create table log (at timestamp(6) not null default current_timestamp(6), what varchar(40)) engine = innodb;
    insert into parent select seq from seq_1_to_200;
    insert into child (parent) select 1 + seq % 200 from seq_1_to_1000;
    insert into isam select seq, md5(seq) from seq_1_to_200;
    insert into aria select seq, md5(seq) from seq_1_to_200`)
  await sql(`delimiter //
    create procedure app.work(n int, tab int) begin
      declare i int default 0;
      set @u = concat('update app.t', tab, ' set k = k + 1, pad = repeat(md5(rand()), 6) where id = ?');
      set @i = concat('insert into app.t', tab, ' (k, c, pad) values (floor(rand() * 1e6), md5(rand()), md5(rand()))');
      set @d = concat('delete from app.t', tab, ' where id = ?');
      prepare u from @u; prepare i from @i; prepare d from @d;
      while i < n do
        start transaction;
        set @id = 1 + floor(rand() * ${ROWS}); execute u using @id; execute i;
        set @id = 1 + floor(rand() * ${ROWS}); execute d using @id;
        commit; set i = i + 1;
      end while;
    end //
    create trigger app.t1_log after insert on app.t1 for each row insert into app.log (what) values ('t1') //
    create function app.twice(a int) returns int deterministic return 2 * a //`)
}

/** The backup is taken while nobody writes, so its own truth is that of the server. */
async function takeBackup({ client }: PrivateServer, datadir: string, file: string): Promise<void> {
  const tool = spawn(
    'mariadb-backup',
    [
      '--no-defaults',
      '--backup',
      '--stream=xbstream',
      '--user=root',
      `--socket=${client[4]}`,
      `--datadir=${datadir}`,
      `--target-dir=${file}.tmp`,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const zstd = spawn('zstd', ['-q', '-1', '-c'], { stdio: ['pipe', 'pipe', 'ignore'] })
  tool.stdout.pipe(zstd.stdin)
  zstd.stdout.pipe(createWriteStream(file))
  const [[code], [packed]] = await Promise.all([once(tool, 'close'), once(zstd, 'close')])
  if (code !== 0 || packed !== 0) throw new Error(`the backup ended with ${code} and ${packed}`)
}

/** All eight tables at once, from eight sessions. */
const load = ({ client }: PrivateServer, transactions: number, before = '') =>
  Promise.all(
    TABLES.map(async (_, index) => {
      const session = spawn(
        client[0]!,
        [...client.slice(1), '-e', `${before}; call app.work(${transactions}, ${index + 1})`],
        {
          stdio: 'ignore',
        },
      )
      const [code] = await once(session, 'exit')
      if (code !== 0) throw new Error(`the load ended with ${code}`)
    }),
  )

const STEPS = {
  row: (server: PrivateServer) => load(server, 250),
  async ddl(server: PrivateServer) {
    const { sql } = server
    await sql(`use app; alter table t2 add column extra int not null default 5; create index late on t3 (c);
      create table made (id int primary key, what varchar(20)) engine = innodb;
      insert into made select seq, twice(seq) from seq_1_to_300;
      rename table made to renamed; create table copy as select * from renamed; truncate table log;
      update parent set id = id + 1000 where id < 50; delete from parent where id between 60 and 80;
      create view seen as select id from t4; create user reader@localhost identified by 'secret';
      grant select on app.* to reader@localhost; create role auditor;
      create event tidy on schedule every 1 hour do delete from app.log;
      create event idle on schedule every 1 day disable do delete from app.log;
      drop index late on t3; alter table aria add column more int`)
    await load(server, 60)
    await sql('use app; drop table copy; alter event app.tidy on schedule every 2 hour')
  },
  async mixed(server: PrivateServer) {
    await load(server, 60, "set session binlog_format = 'MIXED'")
    await server.sql(`use app; set session binlog_format = 'MIXED';
      create temporary table scratch (a int, b varchar(60)); insert into scratch select id, uuid() from t5 limit 50;
      insert into aria (a, word) select 10000 + a, b from scratch; drop temporary table scratch;
      insert into isam values (1, uuid()), (2, 'two'); update isam set word = 'changed' where a < 5`)
  },
  async statement(server: PrivateServer) {
    const { sql } = server
    await sql(`use app; set session binlog_format = 'STATEMENT';
      create temporary table scratch (a int primary key) engine = innodb; insert into scratch select seq from seq_1_to_40;
      insert into isam select a, 'from scratch' from scratch; update t6 join scratch on t6.id = scratch.a set t6.k = -t6.k;
      insert into aria (a, word) select 20000 + a, 's' from scratch; delete from scratch where a > 20;
      insert into t7 (k, c) select a, 'scratch' from scratch order by a; drop temporary table scratch;
      set @var = 17; insert into t8 (k, c) values (@var, 'variable'); insert into isam values (3, 'three')`)
    await load(server, 40, "set session binlog_format = 'MIXED'")
  },
  async xa(server: PrivateServer) {
    const { sql } = server
    await sql(
      "use app; xa start 'done', 'b', 3; insert into t1 (k, c) values (1, 'xa'); xa end 'done', 'b', 3; xa prepare 'done', 'b', 3",
    )
    await load(server, 20)
    await sql("xa commit 'done', 'b', 3")
    await sql(
      "use app; xa start 'undone'; update t2 set k = 0 where id < 20; xa end 'undone'; xa prepare 'undone'; xa rollback 'undone'",
    )
    await sql(
      "use app; xa start 'open', '', 5; insert into renamed values (9999, 'xa'); xa end 'open', '', 5; xa prepare 'open', '', 5",
    )
  },
  async compressed(server: PrivateServer) {
    const { sql } = server
    await sql("xa commit 'open', '', 5; set global binlog_checksum = 'NONE'; set global log_bin_compress = 1")
    await load(server, 60)
    await sql(`use app; insert into t1 (k, c, pad) select seq, 'many', repeat('x', 190) from seq_1_to_2000`)
    await sql("set global binlog_checksum = 'CRC32'; set global log_bin_compress = 0")
  },
  huge: ({ sql }: PrivateServer) =>
    sql(`use app; create table huge (id int primary key, b longblob) engine = innodb;
      insert into huge select seq, repeat(char(65 + seq % 26), 1000000) from seq_1_to_100`),
  end: (server: PrivateServer) => load(server, 120),
} satisfies Record<Exclude<StepName, 'backup'>, (server: PrivateServer) => Promise<unknown>>
