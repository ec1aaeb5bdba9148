import { existsSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { linkedFile } from './tablespaces.ts'

/**
 * MariaDB's InnoDB tables that have a definition and no file of their own. That is right where they lie in the system
 * tablespace (innodb_file_per_table=OFF), and data lost otherwise; only a server can tell.
 *
 * A `.frm` begins with fe 01; byte 3 is the engine (12 InnoDB, 20 partitioned, where byte 61 is the partitions' own). The
 * names of the partitions are in the `.par` file, after its words: length, checksum, number of partitions, one byte an
 * engine, length of the names; each name ends with a zero byte. A view's `.frm` is text.
 */
const INNODB = 12
const PARTITIONED = 20
const HEAD_BYTES = 64

/** Names of the files that are not there, as paths in the datadir. */
export async function findMissing(datadir: string): Promise<string[]> {
  const missing: string[] = []
  for (const entry of await readdir(datadir, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const database = join(datadir, entry.name)
    const names = new Set(await readdir(database))
    for (const name of names) {
      if (!name.endsWith('.frm') || name.startsWith('#sql')) continue
      const absent = (await filesOf(database, name.slice(0, -'.frm'.length), names)).filter(
        table => !names.has(`${table}.ibd`) && !isLinked(database, table),
      )
      missing.push(...absent.map(table => `${entry.name}/${table}.ibd`))
    }
  }
  return missing.sort()
}

/** The table's files without their ending: none for another engine, itself, or its partitions. */
async function filesOf(database: string, table: string, names: ReadonlySet<string>): Promise<string[]> {
  if (names.has(`${table}.ibd`)) return []
  const head = await headOf(join(database, `${table}.frm`))
  if (head.readUInt16BE(0) !== 0xfe01) return []
  if (head[3] === INNODB) return [table]
  if (head[3] !== PARTITIONED || head[61] !== INNODB || !names.has(`${table}.par`)) return []
  const partitions = partitionNames(await readFile(join(database, `${table}.par`)))
  return partitions.map(name => `${table}#P#${name}`)
}

/** Sub-partitions as `p0#SP#p0sp0`, as in the names of their files. None of a file that is cut. */
export function partitionNames(par: Buffer): string[] {
  const words = (bytes: number) => Math.ceil(bytes / 4) * 4
  const namesAt = par.length < 12 ? 12 : 12 + words(par.readUInt32LE(8))
  if (par.length < namesAt + 4) return []
  return par
    .subarray(namesAt + 4, namesAt + 4 + par.readUInt32LE(namesAt))
    .toString('latin1')
    .split('\0')
    .filter(Boolean)
}

const isLinked = (database: string, table: string): boolean => {
  const link = join(database, `${table}.isl`)
  return existsSync(link) && existsSync(linkedFile(link))
}

async function headOf(path: string): Promise<Buffer> {
  await using handle = await open(path)
  const head = Buffer.alloc(HEAD_BYTES)
  await handle.read(head, 0, HEAD_BYTES, 0)
  return head
}
