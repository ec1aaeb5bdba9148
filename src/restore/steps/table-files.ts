import { existsSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isFileOfOneTable, TABLESPACE_HEADER_BYTES } from '../../backup/tablespace-header.ts'
import { readAtMost } from '../../process/file-system.ts'
import { linkedFile } from './tablespaces.ts'

/**
 * Files that tables need and that are not in a datadir. Each engine keeps a table in files of its own beside the
 * definition: a `.frm` (MariaDB, MySQL to 5.7), or the data dictionary and a `.sdi` for engines other than InnoDB
 * (MySQL 8).
 *
 * A `.frm` begins with fe 01. Byte 3 is the engine; 20 means partitioned, and byte 61 is the engine of the partitions.
 * The `.par` file holds their names after 4-byte words: length, checksum, number of partitions, one byte an engine,
 * length of the names. Each name ends with a zero byte. MySQL 5.7's own InnoDB partitions have no `.par`. The `.frm`
 * of a view is text.
 */
export interface MissingFiles {
  /** Paths in the datadir. Without these a table cannot be opened. */
  lost: readonly string[]
  /** InnoDB tables without a file. That is right if they lie in the system tablespace; only a server can tell. */
  unsure: readonly string[]
}

const INNODB = 12
const PARTITIONED = 20
const HEAD_BYTES = 64
/** No .sdi or .par of a server is near this. */
const LARGEST_DEFINITION_BYTES = 1 << 22

/**
 * By the engine's number in a `.frm` and by its name in a `.sdi`. `.CSM` and `.TRG` do not count: no data are in them.
 */
const ENGINE_FILES: Readonly<Record<number | string, readonly string[]>> = {
  9: ['.MYD', '.MYI'],
  10: ['.MRG'],
  16: ['.ARZ'],
  17: ['.CSV'],
  42: ['.MAD', '.MAI'],
  MyISAM: ['.MYD', '.MYI'],
  MRG_MYISAM: ['.MRG'],
  ARCHIVE: ['.ARZ'],
  CSV: ['.CSV'],
}

const NEEDS_DEFINITION = /^(?!#sql|FTS_[0-9a-f]{16}_)(.+?)(?:#P#.*)?\.(?:MYD|MYI|MAD|MAI|CSV|ARZ|MRG|ibd|isl)$/i

export async function findMissing(datadir: string): Promise<MissingFiles> {
  const lost = new Set<string>()
  const unsure: string[] = []
  const undefinedFiles: string[] = []
  let hasDefinitions = false
  for (const entry of await readdir(datadir, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith('#') || entry.name === 'lost+found') continue
    const directory = join(datadir, entry.name)
    const names = new Set(await readdir(directory))
    const isThere = (name: string) => names.has(name) && existsSync(join(directory, name))
    const lose = (name: string) => lost.add(`${entry.name}/${name}`)
    for (const name of names) {
      if (name.startsWith('#sql')) continue
      if (name.endsWith('.frm') || name.endsWith('.sdi')) {
        hasDefinitions ||= name.endsWith('.frm')
        for (const { table, engine } of await tablesOf(directory, name, names)) {
          for (const ending of ENGINE_FILES[engine] ?? []) if (!isThere(table + ending)) lose(table + ending)
          if (engine === INNODB && !isThere(`${table}.ibd`) && !names.has(`${table}.isl`))
            unsure.push(`${entry.name}/${table}.ibd`)
        }
      } else {
        const table = NEEDS_DEFINITION.exec(name)?.[1]
        if (table !== undefined && !names.has(`${table}.frm`) && (await isOfTable(directory, name)))
          undefinedFiles.push(`${entry.name}/${table}.frm`)
        if (
          name.endsWith('.isl') &&
          !isThere(name.replace(/isl$/, 'ibd')) &&
          !existsSync(linkedFile(join(directory, name)))
        )
          lose(name.replace(/isl$/, 'ibd'))
      }
    }
  }
  // MySQL 8 has no .frm at all: its definitions are in mysql.ibd.
  if (hasDefinitions) for (const name of undefinedFiles) lost.add(name)
  return { lost: [...lost].sort(), unsure: unsure.sort() }
}

interface Table {
  /** Name of its files without their ending. */
  table: string
  engine: number | string
}

/** The table of a definition, or its partitions. */
async function tablesOf(directory: string, definition: string, names: ReadonlySet<string>): Promise<Table[]> {
  const path = join(directory, definition)
  if (definition.endsWith('.sdi')) {
    const engine = /"engine":\s*"(\w+)"/.exec(readAtMost(path, LARGEST_DEFINITION_BYTES).toString())?.[1] ?? ''
    return [{ table: definition.replace(/_\d+\.sdi$/, ''), engine }]
  }
  const table = definition.slice(0, -'.frm'.length)
  const head = await headOf(path)
  if (head.readUInt16BE(0) !== 0xfe01) return []
  const engine = head[3]!
  if (engine === PARTITIONED) {
    if (!names.has(`${table}.par`)) return []
    const partitions = partitionNames(readAtMost(join(directory, `${table}.par`), LARGEST_DEFINITION_BYTES))
    return partitions.map(name => ({ table: `${table}#P#${name}`, engine: head[61]! }))
  }
  const prefix = `${table}#P#`
  return engine === INNODB && [...names].some(name => name.startsWith(prefix)) ? [] : [{ table, engine }]
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

/** An InnoDB file without a definition may be empty, of no table in the source already, or of a general tablespace. */
async function isOfTable(directory: string, name: string): Promise<boolean> {
  if (!name.endsWith('.ibd')) return true
  return isFileOfOneTable(await headOf(join(directory, name), TABLESPACE_HEADER_BYTES))
}

/** The first bytes of a file, filled up with zeros. */
async function headOf(path: string, bytes = HEAD_BYTES): Promise<Buffer> {
  await using handle = await open(path)
  const head = Buffer.alloc(bytes)
  await handle.read(head, 0, bytes, 0)
  return head
}
