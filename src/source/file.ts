import { closeSync, fstatSync, openSync } from 'node:fs'
import { positionedFile } from './positioned-file.ts'
import { PEEK_BYTES, type StreamSource } from './source.ts'
import { unreadable } from './unreadable.ts'

/** Opens a regular file as a source. Throws `source_missing` or `source_unreadable`. */
export function openFileSource(path: string): StreamSource {
  const opened: number[] = []
  const open = (): number => {
    try {
      const fd = openSync(path, 'r')
      opened.push(fd)
      return fd
    } catch (thrown) {
      throw unreadable(path, thrown)
    }
  }
  const own = open()
  const { readAt, peek, bytes } = positionedFile(path, own, 0)
  return {
    ref: { kind: 'file', path },
    name: path,
    kind: 'stream',
    storedBytes: fstatSync(own).size,
    peek: (count = PEEK_BYTES) => peek(count),
    bytes,
    file: { startOffset: 0, fd: open, readAt },
    async close() {
      for (const fd of opened.splice(0)) closeSync(fd)
    },
  }
}
