import { constants } from 'node:fs'
import { lstat, open, opendir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { RestoreError } from '../errors.ts'
import { directoryIdentity } from './identity.ts'
import { type DirectoryFile, type DirectorySource, PEEK_BYTES } from './source.ts'
import { unreadable } from './unreadable.ts'

/** A directory as a source. It holds no descriptor between calls. */
export function openDirectorySource(path: string): DirectorySource {
  const files = () => walk(path, '', [], () => {})
  return {
    ref: { kind: 'directory', path },
    name: path,
    kind: 'directory',
    path,
    identity: () => directoryIdentity(files()),
    files,
    async ignored() {
      const paths: string[] = []
      for await (const _ of walk(path, '', [], ignored => paths.push(ignored)));
      return paths
    },
    async storedBytes() {
      let sum = 0
      for await (const { bytes } of files()) sum += bytes
      return sum
    },
    async read(relative) {
      try {
        // A FIFO would wait for a writer.
        await using handle = await open(join(path, relative), constants.O_RDONLY | constants.O_NONBLOCK)
        if (!(await handle.stat()).isFile()) throw notRegular(join(path, relative))
        const buffer = Buffer.alloc(PEEK_BYTES)
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
        return buffer.subarray(0, bytesRead)
      } catch (thrown) {
        throw unreadable(join(path, relative), thrown)
      }
    },
    async close() {},
  }
}

/**
 * All files of `root`, with symbolic links followed, as the copy follows them. A link that leads nowhere is no file,
 * nor is what fsck keeps in lost+found; `onIgnored` gets both. A link to a directory around it is not followed again:
 * the copy fails at it. Throws `source_unreadable` for what is no regular file: a FIFO would be waited for, a device
 * copied without end.
 */
export async function* walk(
  root: string,
  below: string,
  around: readonly string[],
  onIgnored: (path: string) => void,
): AsyncGenerator<DirectoryFile> {
  const directory = join(root, below)
  try {
    const inside = [...around, await realpath(directory)]
    for await (const entry of await opendir(directory)) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      const link = entry.isSymbolicLink() ? await leadsTo(join(root, path)) : null
      if (path === 'lost+found' || (entry.isSymbolicLink() && link === null)) {
        onIgnored(path)
      } else if (entry.isDirectory() || (link?.isDirectory && !inside.includes(link.path))) {
        yield* walk(root, path, inside, onIgnored)
      } else if (!link?.isDirectory) {
        const stats = await (link ? stat : lstat)(join(root, path), { bigint: true })
        if (!stats.isFile() && !stats.isSymbolicLink()) throw notRegular(join(root, path))
        const { size, blocks, mtimeNs } = stats
        yield { path, bytes: Number(size), mtimeNs, allocatedBytes: Number(blocks) * 512 }
      }
    }
  } catch (thrown) {
    throw unreadable(directory, thrown)
  }
}

const notRegular = (path: string): RestoreError =>
  new RestoreError('source_unreadable', `${path} is a FIFO, a socket or a device`, {
    hint: 'a backup has regular files only: take it away',
  })

/** Null where a link leads nowhere. Root follows no link that its owner made to somebody else's file. */
async function leadsTo(link: string): Promise<{ path: string; isDirectory: boolean } | null> {
  try {
    const [target, { uid }] = await Promise.all([stat(link), lstat(link)])
    if (process.geteuid?.() === 0 && uid !== 0 && uid !== target.uid)
      throw new RestoreError(
        'source_unreadable',
        `${link} is a link of user ${uid} to what belongs to user ${target.uid}`,
        {
          hint: 'put the file itself in its place, if it belongs to the backup',
        },
      )
    return { path: await realpath(link), isDirectory: target.isDirectory() }
  } catch (error) {
    if (['ENOENT', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}
