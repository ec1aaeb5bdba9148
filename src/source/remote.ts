import { setTimeout as sleep } from 'node:timers/promises'
import { RestoreError } from '../errors.ts'
import { MOST_READ_BYTES, tooLarge } from './object-store.ts'
import { PEEK_BYTES, type SourceIdentity, type StreamSource } from './source.ts'
import { nameOfSource, type SourceRef } from './source-ref.ts'
import { openAccess, openDispatcher } from './transfer/access.ts'
import { checksumOf } from './transfer/checksum.ts'
import {
  type ByteRange,
  isPinned,
  type ObjectPin,
  type ObjectRequest,
  type RangeReply,
  requestRange,
} from './transfer/http-object.ts'
import type { ExpectedChecksum, HttpAccess } from './transfer/job.ts'
import { type TransferOptions, transfer } from './transfer/transfer.ts'
import { connectionError, TransientError } from './transfer/transient-error.ts'
import { pauseMs } from './transfer/window-plan.ts'

/** A server that does not answer at first is asked for so long. */
const OPEN_MS = 20_000
const LOOK_CONNECTIONS = 4

/**
 * Opens an object on a server: asks for its first bytes, which tell its size and what pins it. Throws
 * `source_missing`, `source_denied`, `source_unreachable`, `source_unreadable`, `credentials_failed`.
 */
export async function openRemoteSource(ref: SourceRef, access: HttpAccess): Promise<StreamSource> {
  const name = nameOfSource(ref)
  const dispatcher = await openDispatcher(LOOK_CONNECTIONS)
  const object = openAccess(name, access, dispatcher)
  const first = await firstReply(object).catch(async thrown => {
    await dispatcher.destroy()
    throw thrown
  })
  const pin: ObjectPin = first?.pin ?? { etag: null, lastModified: null, size: 0 }
  const ranged = first?.ranged ?? false
  const checksum = first && (await storedChecksum(object, first))
  const read = (end: number): AsyncIterable<Buffer> => {
    const options: TransferOptions = {
      range: { start: 0, end },
      pin,
      ranged: ranged && isPinned(pin),
      patienceMs: 60_000,
    }
    return pin.size === 0 ? empty() : transfer(object, { ...options, windows: LOOK_CONNECTIONS })
  }
  let head: Buffer | null = null
  return {
    ref,
    name,
    kind: 'stream',
    storedBytes: pin.size,
    identity: async () => identityOf(pin),
    file: null,
    remote: { access, pin, ranged, checksum },
    async peek(count = PEEK_BYTES) {
      if (head === null || (head.length < count && head.length < (pin.size ?? Number.POSITIVE_INFINITY)))
        head = await firstBytes(read(ranged ? count : Number.POSITIVE_INFINITY), count)
      return head.subarray(0, count)
    },
    bytes: () => read(Number.POSITIVE_INFINITY),
    async close() {
      await dispatcher.destroy()
    },
  }
}

/** Null where the object is empty. */
async function firstReply(object: ObjectRequest): Promise<RangeReply | null> {
  const { name } = object
  const reply = await untilAnswered(name, () =>
    requestRange(object, { start: 0, end: PEEK_BYTES }, null, AbortSignal.timeout(OPEN_MS)).catch(emptyAs(name)),
  )
  reply?.body.destroy()
  return reply
}

/** A store that tells the checksum of an object only to a HEAD request, and answers none, has none for us. */
async function storedChecksum(
  { head, ...object }: ObjectRequest,
  { headers, ranged, pin }: RangeReply,
): Promise<ExpectedChecksum | null> {
  if (head === undefined) return checksumOf(headers, !ranged)
  try {
    const reply = await requestRange({ ...object, ...head }, null, pin, AbortSignal.timeout(OPEN_MS))
    reply.body.destroy()
    return checksumOf(reply.headers, true)
  } catch (thrown) {
    if (thrown instanceof RestoreError && thrown.code === 'source_changed') throw thrown
    return checksumOf(headers, !ranged)
  }
}

const identityOf = ({ etag, lastModified, size }: ObjectPin): SourceIdentity => ({
  ...(etag !== null && { ETag: etag }),
  ...(lastModified !== null && { 'modification time': lastModified }),
  ...(size !== null && { size: `${size}` }),
})

/** Fewer than `count` only where the bytes end. */
async function firstBytes(bytes: AsyncIterable<Buffer>, count: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of bytes) {
    pieces.push(piece)
    length += piece.length
    if (length >= count) break
  }
  return Buffer.concat(pieces)
}

async function* empty(): AsyncGenerator<Buffer> {}

/** A range of an empty object cannot be given; what reads it says that it is empty. */
const emptyAs = (name: string) => (thrown: unknown) => {
  if (thrown instanceof RestoreError && thrown.code === 'source_empty') return null
  throw connectionError(
    name,
    (thrown as Error).name === 'TimeoutError' ? new TransientError('idle', `${name} does not answer`) : thrown,
  )
}

/** Asks again for a while where that may help. */
export async function untilAnswered<T>(name: string, ask: () => Promise<T>): Promise<T> {
  const began = performance.now()
  for (let failures = 1; ; failures++) {
    try {
      return await ask()
    } catch (thrown) {
      if (!(thrown instanceof TransientError)) throw thrown
      if (thrown.last !== null) throw thrown.last
      if (performance.now() - began > OPEN_MS / 2)
        throw new RestoreError('source_unreachable', `cannot read ${name}: ${thrown.message}`, { cause: thrown })
      await sleep(pauseMs(failures))
    }
  }
}

/** A range of a small object, whole: `source_unreadable` above 16 MiB. Fewer bytes only at its end. */
export async function readSmall(object: ObjectRequest, range: ByteRange): Promise<Buffer> {
  return untilAnswered(object.name, async () => {
    const reply = await requestRange(object, range, null, AbortSignal.timeout(OPEN_MS)).catch(emptyAs(object.name))
    if (reply === null) return Buffer.alloc(0)
    const pieces: Buffer[] = []
    let bytes = 0
    try {
      for await (const piece of reply.body) {
        bytes += piece.length
        if (bytes > MOST_READ_BYTES) throw tooLarge(object.name, reply.pin.size ?? bytes)
        pieces.push(piece)
      }
    } catch (thrown) {
      throw connectionError(object.name, thrown)
    } finally {
      reply.body.destroy()
    }
    const expected = Math.min(range.end, reply.pin.size ?? bytes) - range.start
    if (reply.ranged && bytes < expected) throw new TransientError('short', `${object.name} broke off`)
    const whole = Buffer.concat(pieces)
    return reply.ranged ? whole : whole.subarray(range.start, range.end)
  })
}
