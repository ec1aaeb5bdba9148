import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'

/**
 * Runs statements, one a line. Resolves with the rows of the answers, columns joined by tabs; with `force` it goes on
 * after an error and resolves with the errors instead. Rejects where the server does not answer.
 */
export type Sql = (statements: string, options?: { withinMs?: number; force?: boolean }) => Promise<string[]>

/**
 * Checks the tables of the restored datadir through a server. Throws `start_check_failed`; tables that a partial backup
 * leaves out are no failure. Returns notices.
 */
export async function checkTables(sql: Sql, partial: boolean): Promise<string[]> {
  const prepared = await preparedTransactions(sql)
  const problems = [await checkSystemTables(sql), await openAllTables(sql)].filter(problem => problem !== null)
  if (problems.length > 0 && !partial)
    throw new RestoreError('start_check_failed', problems.map(({ message }) => message).join('; '), {
      lastWords: problems.flatMap(({ rows }) => rows),
      hint: 'these tables are not in the backup, were damaged on the way, or were broken before it was taken',
    })
  return [...prepared, ...problems.map(({ message }) => `${message}; the backup was taken of some tables only`)]
}

interface Problem {
  message: string
  /** The server's own words. */
  rows: readonly string[]
}

const MOST_ROWS = 20

/**
 * Transactions that an application prepared and neither committed nor rolled back: they keep their locks until it does.
 */
async function preparedTransactions(sql: Sql): Promise<string[]> {
  const names = (await sql('XA RECOVER')).map(row => row.split('\t').slice(3).join(' '))
  return names.length === 0
    ? []
    : [
        `${names.length} prepared XA transactions hold locks: ${formatFirst(names)}; end each with XA COMMIT or XA ROLLBACK ` +
          'as its transaction manager says',
      ]
}

/** CHECK TABLE would write to files of MyISAM and Aria, so their rows are read instead. */
async function checkSystemTables(sql: Sql): Promise<Problem | null> {
  const tables = (
    await sql(
      "SELECT table_name, IFNULL(engine, '') FROM information_schema.tables WHERE table_schema = 'mysql' " +
        "AND table_type = 'BASE TABLE'",
    )
  ).map(row => row.split('\t'))
  if (tables.length === 0) return { message: 'the restored server has no system tables', rows: [] }
  const [isam, others] = [true, false].map(wanted =>
    tables
      .filter(([, engine]) => ['MyISAM', 'Aria'].includes(engine!) === wanted)
      .map(([name]) => `mysql.${quoted(name!)}`),
  )
  const answers = others!.length === 0 ? [] : await sql(`CHECK TABLE ${others!.join(', ')}`)
  const bad = [
    ...answers.filter(row => /\t(error|warning)\t/i.test(row)),
    ...(await failures(sql, isam!, table => `SELECT COUNT(*) FROM ${table} WHERE RAND() >= 0`)),
  ].map(row => (typeof row === 'string' ? row : row.join(': ')))
  return bad.length === 0 ? null : { message: `${bad.length} system tables are damaged`, rows: bad.slice(0, MOST_ROWS) }
}

/**
 * Opens each table and partition. MariaDB does so for the number of its rows: one that cannot be opened has no engine
 * then, and the reason as its comment. MySQL answers from its dictionary, so there the first row is read as well.
 * Views have no engine in any case. A MERGE table is its underlying tables, which are asked themselves. A FEDERATED or
 * CONNECT table has its rows on another server.
 */
async function openAllTables(sql: Sql): Promise<Problem | null> {
  const [version = ''] = await sql('SELECT VERSION()')
  const unopened = (
    await sql(
      "SELECT CONCAT(table_schema, '.', table_name), table_comment, table_rows FROM information_schema.tables " +
        "WHERE table_type = 'BASE TABLE' AND engine IS NULL " +
        "AND table_comment NOT LIKE 'Unable to open underlying table%' ORDER BY 1",
    )
  ).map(row => row.split('\t').slice(0, 2))
  const unread = version.includes('MariaDB') ? [] : await readFirstRows(sql)
  const found = new Map([...unopened, ...unread].map(([name, reason]) => [name!, reason!]))
  if (found.size === 0) return null
  const names = [...found.keys()].sort()
  const rows = names.slice(0, MOST_ROWS).map(name => `${name}: ${found.get(name)}`)
  return { message: `${names.length} tables cannot be opened: ${formatFirst(names)}`, rows }
}

/** Tables whose first row cannot be read, each with the server's reason. */
async function readFirstRows(sql: Sql): Promise<[name: string, reason: string][]> {
  const tables = (
    await sql(
      "SELECT HEX(table_schema), HEX(table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE' " +
        "AND engine IN ('InnoDB', 'MyISAM', 'ARCHIVE', 'CSV', 'ROCKSDB', 'TokuDB') " +
        "AND table_schema NOT IN ('mysql', 'performance_schema', 'information_schema') ORDER BY 1, 2",
    )
  ).map(row => row.split('\t').map(hex => Buffer.from(hex, 'hex').toString('utf8')) as [string, string])
  return failures(
    sql,
    tables.map(([schema, table]) => `${quoted(schema)}.${quoted(table)}`),
    table => `SELECT 1 FROM ${table} LIMIT 1`,
    index => tables[index]!.join('.'),
  )
}

/** Runs a statement on each table; those on which it fails, with the server's reason. Rejects if the server is gone. */
async function failures(
  sql: Sql,
  tables: readonly string[],
  statement: (table: string) => string,
  nameOf = (index: number) => tables[index]!,
): Promise<[name: string, reason: string][]> {
  if (tables.length === 0) return []
  const errors = await sql(tables.map(table => `${statement(table)};`).join('\n'), { force: true })
  return errors.flatMap(line => {
    const [, code, at, reason] = /^ERROR (\d+) \(\w+\) at line (\d+): (.*)$/.exec(line) ?? []
    if (at === undefined) return []
    if (code === '2006' || code === '2013') throw new Error(reason)
    return [[nameOf(Number(at) - 1), reason!] as [string, string]]
  })
}

const quoted = (name: string): string => `\`${name.replaceAll('`', '``')}\``
