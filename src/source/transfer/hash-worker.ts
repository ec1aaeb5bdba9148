import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { type HashRing, HEAD, SLOT_BYTES, SLOTS, TAIL } from './hash-thread.ts'
import type { ChecksumAlgorithm } from './job.ts'

/** The thread of hash-thread.ts: takes pieces from the ring until the one of length -1, and answers with the digest. */
const { control, lengths, bytes, algorithm } = workerData as HashRing

interface Hash {
  update(piece: Uint8Array): void
  digest(): Uint8Array
}

void openHash(algorithm).then(hash => {
  for (let tail = 0; ; tail = (tail + 1) | 0) {
    while (Atomics.load(control, HEAD) === tail) Atomics.wait(control, HEAD, tail)
    const slot = tail & (SLOTS - 1)
    const length = lengths[slot]!
    if (length < 0) break
    // A copy, because OpenSSL takes no shared memory.
    hash.update(Buffer.from(bytes.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + length)))
    Atomics.store(control, TAIL, (tail + 1) | 0)
    Atomics.notify(control, TAIL)
  }
  parentPort!.postMessage(Buffer.from(hash.digest()).toString('base64'))
})

async function openHash(name: ChecksumAlgorithm): Promise<Hash> {
  if (name === 'crc32') {
    let crc = 0
    return {
      update: piece => {
        crc = crc32(piece, crc)
      },
      digest: () => {
        const digest = Buffer.alloc(4)
        digest.writeUInt32BE(crc)
        return digest
      },
    }
  }
  if (name !== 'crc32c' && name !== 'crc64nvme') {
    const hash = createHash(name)
    return { update: piece => void hash.update(piece), digest: () => hash.digest() }
  }
  const { createCRC32, createCRC64 } = await import('hash-wasm')
  // Reversed polynomials.
  const hash = name === 'crc32c' ? await createCRC32(0x82f63b78) : await createCRC64('9a6c9329ac4bc9b5')
  hash.init()
  return { update: piece => void hash.update(piece), digest: () => hash.digest('binary') }
}
