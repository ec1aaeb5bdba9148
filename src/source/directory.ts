import { lstat, open, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { type DirectoryFile, type DirectorySource, PEEK_BYTES } from './source.ts'
import { unreadable } from './unreadable.ts'

/** A directory as a source. It holds no descriptor between calls. */
export function openDirectorySource(path: string): DirectorySource {
  const files = () => walk(path, '')
  return {
    name: path,
    kind: 'directory',
    path,
    files,
    async storedBytes() {
      let sum = 0
      for await (const { bytes } of files()) sum += bytes
      return sum
    },
    async read(relative) {
      try {
        await using handle = await open(join(path, relative))
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

async function* walk(root: string, below: string): AsyncGenerator<DirectoryFile> {
  try {
    for await (const entry of await opendir(join(root, below))) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) {
        yield* walk(root, path)
      } else {
        const { size, blocks } = await lstat(join(root, path))
        yield { path, bytes: size, allocatedBytes: blocks * 512 }
      }
    }
  } catch (thrown) {
    throw unreadable(join(root, below), thrown)
  }
}
