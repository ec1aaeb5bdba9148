import { existsSync, readFileSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import {
  DEFAULT_PAGE_BYTES,
  isFileOfOneTable,
  TABLESPACE_HEADER_BYTES,
  tablespaceBytes,
} from '../../backup/tablespace-header.ts'
import { readAtMost } from '../../process/file-system.ts'
import { filesUnder } from '../plan/describe-backup.ts'

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
  const { header: head } = await headOf(path)
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
const isOfTable = async (directory: string, name: string): Promise<boolean> =>
  !name.endsWith('.ibd') || isFileOfOneTable((await headOf(join(directory, name))).header)

/**
 * InnoDB's files in a datadir, and those that are shorter than they say. No tool looks: a file that the redo does not
 * touch is moved as it is, and a server fails at the first page that is not there.
 */
export interface Tablespace {
  /** Path in the datadir. */
  name: string
  /** Where it is: for a table with DATA DIRECTORY, the path that its `.isl` file in the datadir names. */
  path: string
}

/** How the server lays out its InnoDB files. */
export interface Layout {
  /** Files of the system tablespace, in order; a server may name them as it likes. */
  systemFiles: readonly string[]
  /** innodb_page_size of every tablespace. */
  pageBytes: number
}

export interface ShortTablespace {
  name: string
  bytes: number
  /** The least it must have. */
  expectedBytes: number
}

/** InnoDB itself starts on a system tablespace that lacks so many pages. */
const SYSTEM_SLACK_PAGES = 500
const LEAST_PAGE_BYTES = 1024
const BATCH_FILES = 16

const UNDO = /^undo_?\d{3}$/

/** What a backup's backup-my.cnf says; the server's default for what it does not say. */
export function layoutOf(backupConfig: string): Layout {
  const config = existsSync(backupConfig) ? readFileSync(backupConfig, 'utf8') : ''
  const setting = (key: string) => new RegExp(`^${key}\\s*=\\s*(\\S+)`, 'm').exec(config)?.[1]
  const dataFilePath = setting('innodb_data_file_path') ?? 'ibdata1'
  return {
    systemFiles: dataFilePath.split(';').map(file => file.replace(/:.*/, '')),
    pageBytes: Number(setting('innodb_page_size') ?? DEFAULT_PAGE_BYTES),
  }
}

/** Files of tables and undo tablespaces. `#sql…`, which an interrupted ALTER TABLE leaves, belongs to no table. */
export async function* tablespacesIn(datadir: string): AsyncGenerator<Tablespace> {
  for await (const path of filesUnder(datadir)) {
    const name = relative(datadir, path)
    if (basename(name).startsWith('#sql')) continue
    if (name.endsWith('.ibd') || UNDO.test(name)) yield { name, path }
    if (name.endsWith('.isl')) yield { name, path: linkedFile(path) }
  }
}

/** Files of tables with DATA DIRECTORY: `name` in the directory, `path` where the server looks for it. */
export async function outsideFiles(directory: string): Promise<Tablespace[]> {
  const found: Tablespace[] = []
  for await (const { name, path } of tablespacesIn(directory))
    if (name.endsWith('.isl')) found.push({ name: name.replace(/isl$/, 'ibd'), path })
  return found
}

/** The path that an `.isl` file holds. */
export const linkedFile = (path: string): string => readAtMost(path, 4096).toString().trim()

/** Reads 64 bytes of each file; calls `onChecked` after every few. */
export async function findShort(datadir: string, layout: Layout, onChecked: () => void): Promise<ShortTablespace[]> {
  const short: ShortTablespace[] = []
  let batch: Tablespace[] = []
  const check = async () => {
    const found = await Promise.all(batch.map(file => checkOne(datadir, file, layout)))
    short.push(...found.filter(one => one !== null))
    batch = []
    onChecked()
  }
  for await (const file of tablespacesIn(datadir)) {
    if (existsSync(file.path)) batch.push(file)
    if (batch.length >= BATCH_FILES) await check()
  }
  await check()
  const system = await checkSystem(datadir, layout)
  return system === null ? short : [system, ...short]
}

async function checkOne(
  datadir: string,
  { name, path }: Tablespace,
  { pageBytes }: Layout,
): Promise<ShortTablespace | null> {
  const { bytes, header, isWhole } = await headOf(path)
  if (!isWhole && !hasDefinition(datadir, name)) return null
  const expectedBytes = isWhole ? tablespaceBytes(header, pageBytes) : LEAST_PAGE_BYTES
  return expectedBytes !== null && bytes < expectedBytes ? { name, bytes, expectedBytes } : null
}

/** Without a definition in the datadir, the source may have had an empty file of no table already. */
const hasDefinition = (datadir: string, name: string): boolean =>
  existsSync(join(datadir, name.replace(/(#P#.*)?\.(ibd|isl)$/i, '.frm'))) || existsSync(join(datadir, 'mysql.ibd'))

/** One tablespace in several files. The first file's header counts the pages of all. */
async function checkSystem(datadir: string, { systemFiles, pageBytes }: Layout): Promise<ShortTablespace | null> {
  const paths = systemFiles.map(name => join(datadir, name))
  if (!paths.every(existsSync)) return null
  const heads = await Promise.all(paths.map(headOf))
  const bytes = heads.reduce((sum, head) => sum + head.bytes, 0)
  const expectedBytes = heads[0]!.isWhole ? tablespaceBytes(heads[0]!.header, pageBytes) : null
  if (expectedBytes === null || bytes >= expectedBytes - SYSTEM_SLACK_PAGES * pageBytes) return null
  return { name: systemFiles.join(' and '), bytes, expectedBytes }
}

/** The first bytes of a file, filled up with zeros; `isWhole` is false where the file has fewer. */
async function headOf(path: string): Promise<{ bytes: number; header: Buffer; isWhole: boolean }> {
  await using handle = await open(path)
  const { size } = await handle.stat()
  const header = Buffer.alloc(TABLESPACE_HEADER_BYTES)
  const { bytesRead } = await handle.read(header, 0, header.length, 0)
  return { bytes: size, header, isWhole: bytesRead === header.length }
}
