import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import type { Plan } from '../plan/plan.ts'

/** Asks the restored server; the rows of the answer, columns joined by tabs. */
export type Ask = (statement: string) => Promise<string[]>

/**
 * Asks a server that was started on the restored datadir whether its tables are there. Throws `start_check_failed`; what a backup
 * of some tables only has left out is no failure, and is returned as notices instead.
 */
export async function checkTables(sql: Ask, family: Plan['tool']['family'], partial: boolean): Promise<string[]> {
  const problems = [await checkSystemTables(sql), family === 'mariadb-backup' ? await openAllTables(sql) : null]
  const [first, ...more] = problems.filter(problem => problem !== null)
  if (first === undefined) return []
  if (partial) return [first, ...more].map(({ message }) => `${message}; the backup was taken of some tables only`)
  throw new RestoreError('start_check_failed', [first, ...more].map(({ message }) => message).join('; '), {
    lastWords: [first, ...more].flatMap(({ rows }) => rows),
    hint: 'these tables are not in the backup, were damaged on the way, or were broken before it was taken',
  })
}

interface Problem {
  message: string
  /** The server's own words. */
  rows: readonly string[]
}

const MOST_ROWS = 20

async function checkSystemTables(sql: Ask): Promise<Problem | null> {
  const tables = await sql(
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'mysql' AND table_type = 'BASE TABLE'",
  )
  if (tables.length === 0) return { message: 'the restored server has no system tables', rows: [] }
  const answers = await sql(`CHECK TABLE ${tables.map(name => `mysql.\`${name}\``).join(', ')}`)
  const bad = answers.filter(row => /\t(error|warning)\t/i.test(row))
  return bad.length === 0
    ? null
    : { message: `CHECK TABLE complains of ${bad.length} system tables`, rows: bad.slice(0, MOST_ROWS) }
}

/**
 * MariaDB opens each table for the number of its rows, partitions too. One that cannot be opened has no engine then, and the
 * reason as its comment: its file is missing, too short for a tablespace, or of another table. Nothing is read beyond what
 * opening takes. Views have no engine in any case. A MERGE table is its underlying tables, which are asked themselves; an
 * engine that this server does not know is named, and no reason is given.
 */
async function openAllTables(sql: Ask): Promise<Problem | null> {
  const rows = await sql(
    "SELECT CONCAT(table_schema, '.', table_name), table_comment, table_rows FROM information_schema.tables " +
      "WHERE table_type = 'BASE TABLE' AND engine IS NULL " +
      "AND table_comment NOT LIKE 'Unable to open underlying table%' ORDER BY 1",
  )
  if (rows.length === 0) return null
  const names = rows.map(row => row.split('\t')[0]!)
  const reasons = rows.slice(0, MOST_ROWS).map(row => row.split('\t').slice(0, 2).join(': '))
  return { message: `${names.length} tables cannot be opened: ${formatFirst(names)}`, rows: reasons }
}
