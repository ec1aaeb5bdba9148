import { createHash } from 'node:crypto'
import { fstatSync } from 'node:fs'
import { bootId } from '../process/proc-stat.ts'
import type { DirectoryFile, SourceIdentity } from './source.ts'

const EDGE_BYTES = 64 << 10

/** Reads into a buffer from a position of the source; fewer bytes only at its end. */
type ReadAt = (buffer: Buffer, position: number) => Promise<number>

/** Inode, size, modification time in ns, and the hash of the first and last 64 KiB. */
export async function fileIdentity(fd: number, readAt: ReadAt): Promise<SourceIdentity> {
  const { ino, dev, size, mtimeNs } = fstatSync(fd, { bigint: true })
  return {
    inode: `${ino}`,
    // A device may get another number with the next boot.
    [`device in boot ${bootId()}`]: `${dev}`,
    'modification time': `${mtimeNs}`,
    ...(await contentIdentity(Number(size), readAt)),
  }
}

/** Size and the hash of the first and last 64 KiB: of a redirected file, which may be another copy after a restart. */
export async function contentIdentity(size: number, readAt: ReadAt): Promise<SourceIdentity> {
  const hash = createHash('sha256')
  for (const position of [0, Math.max(0, size - EDGE_BYTES)]) {
    const edge = Buffer.alloc(EDGE_BYTES)
    hash.update(edge.subarray(0, await readAt(edge, position)))
  }
  return { size: `${size}`, 'first and last 64 KiB': hash.digest('hex') }
}

/** The sorted list of path, size and modification time, as a hash. */
export async function directoryIdentity(files: AsyncIterable<DirectoryFile>): Promise<SourceIdentity> {
  const lines: string[] = []
  for await (const { path, bytes, mtimeNs } of files) lines.push(`${path}\0${bytes}\0${mtimeNs}\n`)
  const hash = createHash('sha256')
  for (const line of lines.sort()) hash.update(line)
  return { 'list of files': hash.digest('hex'), 'number of files': `${lines.length}` }
}

/** The first fact in which two identities differ; null where they are of the same source, or one is unknown. */
export const identityDifference = (was: SourceIdentity | null, is: SourceIdentity | null): string | null =>
  Object.keys(was ?? {}).find(fact => is?.[fact] !== undefined && is[fact] !== was![fact]) ?? null
