import { existsSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { DEFAULT_PAGE_BYTES, TABLESPACE_HEADER_BYTES, tablespaceBytes } from '../../backup/tablespace-header.ts'
import { readAtMost } from '../../process/file-system.ts'
import { filesUnder } from '../plan/extracted.ts'

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
  const { bytes, header } = await headOf(path)
  const isWhole = header.length === TABLESPACE_HEADER_BYTES
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
  const expectedBytes = tablespaceBytes(heads[0]!.header, pageBytes)
  if (expectedBytes === null || bytes >= expectedBytes - SYSTEM_SLACK_PAGES * pageBytes) return null
  return { name: systemFiles.join(' and '), bytes, expectedBytes }
}

async function headOf(path: string): Promise<{ bytes: number; header: Buffer }> {
  await using handle = await open(path)
  const { size } = await handle.stat()
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(TABLESPACE_HEADER_BYTES), 0, TABLESPACE_HEADER_BYTES, 0)
  return { bytes: size, header: buffer.subarray(0, bytesRead) }
}
