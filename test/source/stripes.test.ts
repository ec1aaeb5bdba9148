import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecretStream, openingKey, secretStreamKeys } from '../../src/source/secret-stream.ts'
import { layersOfObject, mergeStripes, withoutLayers } from '../../src/source/stripes.ts'
import { FIXTURES } from '../layout/listings.ts'
import { thrownBy } from '../support/thrown-by.ts'

async function collect(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** As wal-g's SplitReader cuts. */
function cut(bytes: Buffer, count: number, blockBytes: number): Buffer[] {
  const parts = Array.from({ length: count }, (): Buffer[] => [])
  for (let at = 0, index = 0; at < bytes.length; at += blockBytes, index++)
    parts[index % count]!.push(bytes.subarray(at, at + blockBytes))
  return parts.map(blocks => Buffer.concat(blocks))
}

describe('stripes', () => {
  test('are merged to what was cut, whatever the sizes of parts, blocks and pieces', async () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array))
    const small = fc.integer({ min: 1, max: 9 })
    await fc.assert(
      fc.asyncProperty(bytes, small, small, small, async (whole, count, blockBytes, pieceBytes) => {
        const parts = cut(whole, count, blockBytes).map(part => inPieces(part, pieceBytes))
        expect(await collect(mergeStripes('s', parts, blockBytes))).toEqual(whole)
      }),
    )
  })

  test('of which one is shorter are not merged over the hole', async () => {
    const whole = Buffer.alloc(1000, 'x')
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 300 }), async (index, lost) => {
        const parts = cut(whole, 3, 10).map((part, at) => (at === index ? part.subarray(0, part.length - lost) : part))
        const merging = collect(
          mergeStripes(
            's',
            parts.map(part => inPieces(part, 7)),
            10,
          ),
        )
        // Of the last block alone nothing tells; the stream within ends too early then.
        const isTail = index === 0 && lost <= 10
        if (isTail) await expect(merging).resolves.toHaveLength(1000 - lost)
        else await expect(merging).rejects.toMatchObject({ code: 'source_truncated' })
      }),
    )
  })
})

describe('the layers of an object', () => {
  const plain = Buffer.alloc(50_000, 'some bytes ')
  const sealed = readFileSync(join(FIXTURES, 'secretstream.bin'))
  const key = join(FIXTURES, 'secretstream.key')

  test.each([
    ['a.br', brotliCompressSync(plain), null, ['brotli']],
    ['a.br', brotliCompressSync(plain), key, ['brotli']],
    ['a.zst', zstdCompressSync(plain), null, ['zstd']],
    ['a.gz', gzipSync(plain), null, ['gzip']],
    ['a', Buffer.from('XBSTCK01...'), null, []],
    ['a.zst', sealed, key, ['libsodium', 'zstd']],
    ['a.br', sealed, key, ['libsodium', 'brotli']],
    ['a.br', Buffer.from('-----BEGIN PGP MESSAGE-----'), key, ['gpg', 'brotli']],
  ] as const)('%s', (name, head, keyFile, layers) => {
    expect(layersOfObject(name, head, keyFile)).toEqual(layers)
  })

  test('that is encrypted are told without a key, and with another one', () => {
    expect(thrownBy(() => layersOfObject('a.zst', sealed, null)).code).toBe('key_missing')
    expect(thrownBy(() => layersOfObject('a.gz', Buffer.from('-----BEGIN PGP MESSAGE-----'), null)).code).toBe(
      'key_missing',
    )
    const other = join(FIXTURES, 'xbcloud-full.sha256')
    expect(thrownBy(() => layersOfObject('a.zst', sealed, other)).code).toBe('wrong_key')
  })

  test('are taken off, and damage is told', async () => {
    const packed = brotliCompressSync(plain)
    expect(await collect(withoutLayers('x', inPieces(packed, 100), ['brotli'], null))).toEqual(plain)
    const short = withoutLayers('x', inPieces(packed.subarray(0, -2), 100), ['brotli'], null)
    await expect(collect(short)).rejects.toMatchObject({ code: 'source_truncated' })
    const bad = withoutLayers('x', inPieces(Buffer.alloc(5000, 7), 100), ['brotli'], null)
    await expect(collect(bad)).rejects.toMatchObject({ code: 'source_corrupt' })
  })
})

describe('a stream that libsodium itself encrypted', () => {
  const sealed = readFileSync(join(FIXTURES, 'secretstream.bin'))
  const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
  const plain = Buffer.from(Array.from({ length: 20_005 }, (_, index) => (index * 31 + (index >> 8)) & 255))
  const open = (bytes: Buffer, pieceBytes: number) => {
    const stream = createSecretStream(key, 's')
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(stream.push(bytes.subarray(at, at + pieceBytes)))
    return Buffer.concat([...pieces, stream.end()])
  }

  test('is opened, in pieces of any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 30_000 }), size => void expect(open(sealed, size)).toEqual(plain)),
      { numRuns: 20 },
    )
  })

  test('with any bit flipped, or any end missing, is never taken for whole', () => {
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.nat(7), (at, bit) => {
        const bytes = Buffer.from(sealed)
        bytes[at]! ^= 1 << bit
        expect(thrownBy(() => open(bytes, 10_000)).code).toMatch(/^(?:wrong_key|source_corrupt)$/)
        const code = thrownBy(() => open(sealed.subarray(0, at), 10_000)).code
        expect(code).toMatch(/^(?:source_truncated|source_corrupt|wrong_key)$/)
      }),
      { numRuns: 50 },
    )
  })

  test.each([
    ['hex', `${key.toString('hex')}\n`],
    ['base64', key.toString('base64')],
  ])('has its key in %s', (_, text) => {
    expect(openingKey(sealed, secretStreamKeys(Buffer.from(text)))).toEqual(key)
    expect(openingKey(sealed, secretStreamKeys(Buffer.from(`${text.slice(0, 30)}xx`)))).toBeNull()
  })
})
