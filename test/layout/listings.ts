import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { judgeChains } from '../../src/layout/chains.ts'
import type { Layout, ListedObject, StoredBackup } from '../../src/layout/layout.ts'

export const FIXTURES = join(import.meta.dirname, '../fixtures/layouts')

/** Objects in memory, as a place lists them. */
export const listed = (objects: Readonly<Record<string, Buffer | string>>): ListedObject[] =>
  Object.entries(objects).map(([key, content]) => ({ key, bytes: Buffer.byteLength(content), modifiedMs: null }))

/** What a layout makes of objects in memory. */
export function backupsOf(layout: Layout, objects: Readonly<Record<string, Buffer | string>>): StoredBackup[] {
  const listing = listed(objects)
  const metadata = new Map(layout.metadataKeys(listing).map(key => [key, Buffer.from(objects[key]!)]))
  return judgeChains(layout.backups(listing, metadata))
}

/** The files of a directory as objects. */
export function objectsIn(directory: string): Record<string, Buffer> {
  const objects: Record<string, Buffer> = {}
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' }))
    if (statSync(join(directory, path)).isFile()) objects[path] = readFileSync(join(directory, path))
  return objects
}

/** A store that xbcloud 2.4.20 wrote: a full backup and two incrementals, named as the PS operator does. */
export const realXbcloudListing = (): ListedObject[] =>
  readFileSync(join(FIXTURES, 'xbcloud-listing.tsv'), 'utf8')
    .trim()
    .split('\n')
    .map(line => {
      const [bytes, key] = line.split('\t')
      return { key: key!, bytes: Number(bytes), modifiedMs: null }
    })
