import { RestoreError } from '../../errors.ts'
import { startThread } from '../../process/self-command.ts'
import type { ChecksumAlgorithm, ExpectedChecksum } from './job.ts'
import type { TransferStats } from './stats.ts'

/**
 * The bytes of an object as they come, compared with the checksum of its store at their end: `source_corrupt` where
 * they differ. What cannot be computed is counted as unknown, and stops nothing.
 */
export async function* checked(
  bytes: AsyncIterable<Buffer>,
  name: string,
  expected: ExpectedChecksum | null,
  { checksums }: TransferStats,
): AsyncGenerator<Buffer, void, undefined> {
  if (expected === null) {
    yield* bytes
    checksums.none += 1
    return
  }
  const { algorithm, value } = expected
  const hash = startHashThread(algorithm)
  try {
    for await (const piece of bytes) {
      const behind = hash.update(piece)
      if (behind) await behind
      yield piece
    }
    const found = await hash.digest()
    if (found === null) checksums.unknown += 1
    else if (found === value) checksums.verified += 1
    else
      throw new RestoreError('source_corrupt', `${name}: ${algorithm} of its bytes is ${found}, the store has ${value}`)
  } finally {
    hash.close()
  }
}

/**
 * A hash in a thread of its own, so that it does not slow the transfer. The bytes go through a ring in shared memory:
 * to copy a piece costs a tenth of hashing it, and a message for each piece costs more than both.
 */
export interface HashThread {
  /** Copies the piece: at once, or when the thread has caught up. Never rejects. */
  update(piece: Uint8Array): Promise<void> | void
  /** Base64; null where the thread failed. */
  digest(): Promise<string | null>
  close(): void
}

/** Shared with the thread. Slots are counted up without end; `HEAD` is the next to fill, `TAIL` the next to hash. */
export interface HashRing {
  control: Int32Array<SharedArrayBuffer>
  lengths: Int32Array<SharedArrayBuffer>
  bytes: Uint8Array<SharedArrayBuffer>
  algorithm: ChecksumAlgorithm
}
export const HEAD = 0
export const TAIL = 1
/** A power of two. */
export const SLOTS = 64
export const SLOT_BYTES = 64 << 10

export function startHashThread(algorithm: ChecksumAlgorithm): HashThread {
  const ring: HashRing = {
    control: new Int32Array(new SharedArrayBuffer(8)),
    lengths: new Int32Array(new SharedArrayBuffer(4 * SLOTS)),
    bytes: new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES)),
    algorithm,
  }
  const { control, lengths, bytes } = ring
  const worker = startThread('source/transfer/hash-worker', ring)
  let failed = false
  const answer = new Promise<string | null>(resolve => {
    const fail = () => {
      failed = true
      Atomics.notify(control, TAIL) // whoever waits for a free slot
      resolve(null)
    }
    worker.once('message', resolve).once('error', fail).once('exit', fail)
  })
  let head = 0

  const isFull = () => ((head - Atomics.load(control, TAIL)) | 0) === SLOTS
  async function freeSlot(): Promise<void> {
    while (!failed && isFull()) await Atomics.waitAsync(control, TAIL, (head - SLOTS) | 0, 1000).value
  }
  function push(piece: Uint8Array | null): void {
    const slot = head & (SLOTS - 1)
    if (piece !== null) bytes.set(piece, slot * SLOT_BYTES)
    lengths[slot] = piece?.length ?? -1
    head = (head + 1) | 0
    Atomics.store(control, HEAD, head)
    Atomics.notify(control, HEAD)
  }
  async function pushAll(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length && !failed; at += SLOT_BYTES) {
      if (isFull()) await freeSlot()
      if (!failed) push(piece.subarray(at, at + SLOT_BYTES))
    }
  }

  return {
    update(piece) {
      if (piece.length > SLOT_BYTES || isFull()) return pushAll(piece)
      return push(piece)
    },
    async digest() {
      await freeSlot()
      if (!failed) push(null)
      return answer
    },
    close: () => void worker.terminate(),
  }
}
