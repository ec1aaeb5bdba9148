import { fstatSync, readFileSync, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import { isatty } from 'node:tty'
import { RestoreError } from '../errors.ts'
import { contentIdentity } from './identity.ts'
import { positionedFile } from './positioned-file.ts'
import { PEEK_BYTES, type StreamSource } from './source.ts'
import { nameOfSource } from './source-ref.ts'
import { unreadable } from './unreadable.ts'

const REF = { kind: 'stdin' } as const
const SPOKEN = 'standard input'

/**
 * Standard input as a source. A redirected file is used as a file, from where its descriptor stands; a pipe or socket
 * is read here, and what was peeked at is delivered again. `fd` is not 0 in tests only.
 * Throws `source_unreadable` for a terminal and whatever else holds no stream.
 */
export function openStdinSource(fd = 0): StreamSource {
  let stats: Stats
  try {
    stats = fstatSync(fd)
  } catch (thrown) {
    throw unreadable(SPOKEN, thrown)
  }
  if (stats.isFile()) return redirectedFile(fd, stats.size)
  if (stats.isFIFO() || stats.isSocket()) return pipe(fd)
  const what = isatty(fd) ? 'a terminal' : 'neither a file nor a pipe'
  throw new RestoreError('source_unreadable', `${SPOKEN} is ${what}: redirect a backup to it, or pipe one in`)
}

function redirectedFile(fd: number, size: number): StreamSource {
  const startOffset = descriptorOffset(fd)
  const { readAt, peek, bytes } = positionedFile(SPOKEN, fd, startOffset)
  return {
    ref: REF,
    name: nameOfSource(REF),
    kind: 'stream',
    storedBytes: Math.max(0, size - startOffset),
    identity: () => contentIdentity(Math.max(0, size - startOffset), readAt),
    peek: (count = PEEK_BYTES) => peek(count),
    bytes,
    file: {
      startOffset,
      readAt,
      fd() {
        if (descriptorOffset(fd) === startOffset) return fd
        // There is no lseek here, and opening /proc/self/fd/0 again would begin at the file's first byte.
        throw new RestoreError('source_unreadable', `${SPOKEN} was consumed already: it can be restored from only once`)
      },
    },
    async close() {},
  }
}

/** Where a descriptor stands (`pos:` of its fdinfo). */
function descriptorOffset(fd: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
  return Number(/^pos:\s*(\d+)/m.exec(text)?.[1] ?? 0)
}

function pipe(fd: number): StreamSource {
  const socket = new Socket({ fd, readable: true, writable: false })
  const pieces = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const peeked: Buffer[] = []
  let peekedBytes = 0
  let consumed = false

  /** The next bytes; null at the end. */
  async function next(): Promise<Buffer | null> {
    try {
      const { done, value } = await pieces.next()
      return done ? null : value
    } catch (thrown) {
      throw unreadable(SPOKEN, thrown)
    }
  }

  return {
    ref: REF,
    name: nameOfSource(REF),
    kind: 'stream',
    storedBytes: null,
    identity: async () => null,
    file: null,
    async peek(count = PEEK_BYTES) {
      if (consumed) throw new RestoreError('internal', `${SPOKEN} was peeked at after it was consumed`)
      while (peekedBytes < count) {
        const piece = await next()
        if (piece === null) break
        peeked.push(piece)
        peekedBytes += piece.length
      }
      const head = Buffer.concat(peeked)
      peeked.splice(0, peeked.length, head)
      return head.subarray(0, count)
    },
    async *bytes() {
      if (consumed)
        throw new RestoreError('source_unreadable', `${SPOKEN} was consumed already: a pipe can be read only once`)
      consumed = true
      for (const piece of peeked.splice(0)) yield piece
      for (;;) {
        const piece = await next()
        if (piece === null) return
        yield piece
      }
    },
    async close() {
      socket.destroy()
    },
  }
}
