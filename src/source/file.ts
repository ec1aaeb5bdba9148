import { closeSync, fstatSync, openSync } from 'node:fs'
import { fileIdentity } from './identity.ts'
import { positionedFile } from './positioned-file.ts'
import { PEEK_BYTES, type StreamSource } from './source.ts'
import { unreadable } from './unreadable.ts'

/** Opens a regular file as a source. Throws `source_missing` or `source_unreadable`. */
export function openFileSource(path: string): StreamSource {
  const opened: number[] = []
  const own = openOrThrow(path)
  opened.push(own)
  /** The file that was looked at, also where its name leads to another one by now. */
  const again = (): number => {
    const fd = openOrThrow(`/proc/self/fd/${own}`, path)
    opened.push(fd)
    return fd
  }
  const { readAt, peek, bytes } = positionedFile(path, own, 0)
  return {
    ref: { kind: 'file', path },
    name: path,
    kind: 'stream',
    identity: () => fileIdentity(own, readAt),
    storedBytes: fstatSync(own).size,
    peek: (count = PEEK_BYTES) => peek(count),
    bytes,
    file: { startOffset: 0, fd: again, readAt },
    async close() {
      for (const fd of opened.splice(0)) closeSync(fd)
    },
  }
}

function openOrThrow(path: string, name = path): number {
  try {
    return openSync(path, 'r')
  } catch (thrown) {
    throw unreadable(name, thrown)
  }
}
