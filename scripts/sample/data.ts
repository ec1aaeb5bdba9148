import { setTimeout as sleep } from 'node:timers/promises'
import type { SampleServer } from './server.ts'

const TABLES = 6
/** Divides the tables. */
const WRITERS = 2
/** About what a row takes with its index. */
const ROW_BYTES = 1150

/** Tables of about `megabytes` in all, every row different. */
export async function loadSample({ sql }: SampleServer, megabytes: number): Promise<void> {
  const rows = Math.round((megabytes * 1024 * 1024) / TABLES / ROW_BYTES)
  await sql('CREATE DATABASE sample')
  for (let table = 1; table <= TABLES; table++) {
    await sql(`
      USE sample;
      CREATE TABLE sample.t${table} (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, k BIGINT NOT NULL,
        c VARCHAR(512) NOT NULL, b VARBINARY(900) NOT NULL, KEY (k)) ENGINE=InnoDB;
      INSERT INTO sample.t${table} (k, c, b) SELECT FLOOR(RAND() * 1e12), REPEAT(MD5(RAND()), 5), CONCAT(${Array(6)
        .fill('SHA2(RAND(), 512)')
        .join(', ')}) FROM seq_1_to_${rows};`)
  }
}

/**
 * Writes without pause until stopped; stopping waits for the last statement. Each writer has tables of its own: no
 * deadlock.
 */
export function writeLoad({ sql }: SampleServer): WriteLoad {
  let stopped = false
  const write = async (first: number) => {
    for (let round = first; !stopped; round += WRITERS) {
      const table = `sample.t${(round % TABLES) + 1}`
      await sql(`
        USE sample;
        SET @from = FLOOR(RAND() * (SELECT MAX(id) FROM ${table}));
        UPDATE ${table} SET k = FLOOR(RAND() * 1e12), c = MD5(RAND()) WHERE id BETWEEN @from AND @from + 400;
        UPDATE ${table} SET b = REVERSE(b) WHERE id BETWEEN @from + 500 AND @from + 900;
        INSERT INTO ${table} (k, c, b) SELECT FLOOR(RAND() * 1e12), MD5(RAND()), SHA2(RAND(), 512) FROM seq_1_to_200;
        DELETE FROM ${table} WHERE id = @from + 450;`)
    }
  }
  const ended = Promise.all(Array.from({ length: WRITERS }, (_, first) => write(first)))
  ended.catch(() => {}) // told to whoever awaits it; until then it must not count as unhandled
  return {
    ended,
    async stop() {
      stopped = true
      await ended
    },
  }
}

export interface WriteLoad {
  /** Rejects when a statement fails; resolves once stopped. */
  ended: Promise<unknown>
  stop(): Promise<void>
}

/** Waits until the server has written this much more redo. */
export async function redoWritten({ sql }: SampleServer, megabytes: number): Promise<void> {
  const lsn = async () => Number((await sql("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'"))[0]!.split('\t')[1])
  const enough = (await lsn()) + megabytes * 1024 * 1024
  while ((await lsn()) < enough) await sleep(250)
}
