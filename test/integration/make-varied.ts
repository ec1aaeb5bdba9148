import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { installServer } from '../../scripts/sample/server.ts'
import { startServer } from './private-server.ts'

/**
 * A backup directory of a server that has tables of every kind that InnoDB lays out in another way, taken while tables
 * grow, are truncated and are made.
 */
export interface Varied {
  /** As extracted. */
  backup: string
  /** The same, prepared. */
  prepared: string
  /** Of database `app` only, as extracted. */
  partial: string
}

const BYTES = 'repeat(md5(seq), 20)'

const tables = (pageKib: number, elsewhere: string) => `
  create database app; create database rest; use app;
  create table grows (id int primary key auto_increment, b varbinary(2000)) engine=innodb;
  insert into grows (b) select repeat(md5(seq), 60) from seq_1_to_2000;
  create table tiny (id int primary key) engine=innodb;
  create table idle (id int primary key, b varbinary(700)) engine=innodb;
  insert into idle select seq, ${BYTES} from seq_1_to_3000;
  create table redundant engine=innodb row_format=redundant select * from idle;
  create table page_compressed engine=innodb page_compressed=1 select * from idle;
  create table part (id int primary key, b varbinary(700)) engine=innodb partition by range (id)
    (partition p0 values less than (1000), partition \`p-1\` values less than maxvalue);
  insert into part select * from idle;
  create table sub (id int, d int) engine=innodb partition by range (id) subpartition by hash (d) subpartitions 2
    (partition p0 values less than (1000), partition p1 values less than maxvalue);
  create table far (id int primary key, b varbinary(700)) engine=innodb data directory='${elsewhere}';
  insert into far select * from idle;
  create table cut_back engine=innodb select * from idle; truncate table cut_back;
  create table altered engine=innodb select * from idle; alter table altered add index (b(20)), add column c int;
  create table words (id int primary key, t text, fulltext (t)) engine=innodb;
  create table \`odd-näme\` (id int) engine=innodb;
  create table rest.other (id int) engine=innodb;
  create table aria (id int) engine=aria; create table myisam (id int) engine=myisam;
  create table merged (id int) engine=merge union=(nowhere);
  create sequence numbers engine=innodb;
  create definer=nobody@nowhere view without_definer as select * from tiny;
  create table dropped (id int); create view without_table as select * from dropped; drop table dropped;
  set global innodb_file_per_table=0;
  create table inside engine=innodb select * from idle;
  create table inside_part (id int) engine=innodb partition by hash (id) partitions 2;
  set global innodb_file_per_table=1;
  ${pageKib > 16 ? '' : zipped}`

const zipped = `
  create table zip_small (id int primary key, b varbinary(40)) engine=innodb row_format=compressed key_block_size=1;
  insert into zip_small select seq, md5(seq) from seq_1_to_3000;
  create table zip (id int primary key, b varbinary(700)) engine=innodb row_format=compressed key_block_size=2;
  insert into zip select * from idle;`

export async function makeVaried(folder: string, pageKib: number, options: readonly string[] = []): Promise<Varied> {
  const at = (name: string) => join(folder, name)
  mkdirSync(at('elsewhere'))
  // A server that starts removes what others have in the same tmpdir.
  const layout = [`--innodb-page-size=${pageKib}k`, `--tmpdir=${folder}`, ...options]
  await installServer(at('source'), layout)
  const first = await startServer(at('source'), layout)
  await first.sql(tables(pageKib, at('elsewhere'))).finally(first.stop)
  // Started anew, it has a checkpoint behind the tables: they are copied, and not made from the redo.
  const server = await startServer(at('source'), layout)
  try {
    const backUp = (name: string, more: readonly string[] = []) =>
      execa('mariadb-backup', [
        '--no-defaults',
        '--backup',
        '--user=root',
        `--socket=${server.client[4]}`,
        `--datadir=${at('source')}`,
        `--target-dir=${at(name)}`,
        ...more,
      ])
    let ended = false
    const backingUp = backUp('backup').finally(() => {
      ended = true
    })
    for (let round = 1; !ended; round++)
      await server.sql(`use app; insert into grows (b) select repeat(md5(seq), 60) from seq_1_to_500;
        create table born${round} (id int primary key) engine=innodb; truncate table cut_back`)
    await backingUp
    await backUp('partial', ['--databases=app'])
  } finally {
    await server.stop()
  }
  rmSync(at('elsewhere'), { recursive: true })
  rmSync(at('source'), { recursive: true })
  await execa('cp', ['-a', at('backup'), at('prepared')])
  await execa('mariadb-backup', ['--prepare', `--target-dir=${at('prepared')}`])
  return { backup: at('backup'), prepared: at('prepared'), partial: at('partial') }
}
