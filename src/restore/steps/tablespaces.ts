import { existsSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { TABLESPACE_HEADER_BYTES, tablespaceBytes } from '../../backup/tablespace-header.ts'
import { filesUnder } from '../plan/extracted.ts'
import type { Layout } from './innodb-files.ts'

/**
 * InnoDB's files in a datadir, and those among them that are shorter than they say. No tool looks: a file that the redo
 * does not touch is moved as it is, and a server stumbles over it at the first page that is not there.
 */
export interface Tablespace {
  /** Path in the datadir. */
  name: string
  /** Where it lies: elsewhere for a table with DATA DIRECTORY, whose `.isl` file in the datadir names the place. */
  path: string
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
const AT_ONCE = 16

const UNDO = /^undo_?\d{3}$/

/** Files of tables and undo tablespaces. What `ALTER TABLE` leaves when it is cut short, `#sql…`, is no table's. */
export async function* tablespacesIn(datadir: string): AsyncGenerator<Tablespace> {
  for await (const path of filesUnder(datadir)) {
    const name = relative(datadir, path)
    if (basename(name).startsWith('#sql')) continue
    if (name.endsWith('.ibd') || UNDO.test(name)) yield { name, path }
    if (name.endsWith('.isl')) yield { name, path: linkedFile(path) }
  }
}

/** The path that an `.isl` file holds. */
export const linkedFile = (path: string): string => readFileSync(path, 'utf8').trim()

/** Reads 64 bytes of each file; `onChecked` is called after every few. */
export async function findShort(datadir: string, layout: Layout, onChecked: () => void): Promise<ShortTablespace[]> {
  const short: ShortTablespace[] = []
  let batch: Tablespace[] = []
  const check = async () => {
    short.push(...(await Promise.all(batch.map(file => checkOne(file, layout)))).filter(found => found !== null))
    batch = []
    onChecked()
  }
  for await (const file of tablespacesIn(datadir)) {
    if (existsSync(file.path)) batch.push(file)
    if (batch.length >= AT_ONCE) await check()
  }
  await check()
  const system = await checkSystem(datadir, layout)
  return system === null ? short : [system, ...short]
}

async function checkOne({ name, path }: Tablespace, { pageBytes }: Layout): Promise<ShortTablespace | null> {
  const { bytes, header } = await headOf(path)
  const isWhole = header.length === TABLESPACE_HEADER_BYTES
  // Without a definition it may have been an empty file without a table in the source already.
  if (!isWhole && !existsSync(path.replace(/(#P#.*)?\.ibd$/i, '.frm'))) return null
  const expectedBytes = isWhole ? tablespaceBytes(header, pageBytes) : LEAST_PAGE_BYTES
  return expectedBytes !== null && bytes < expectedBytes ? { name, bytes, expectedBytes } : null
}

/** One tablespace in several files: the first one's header counts the pages of all. */
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
