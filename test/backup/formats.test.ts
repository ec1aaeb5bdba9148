import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { detectFormat } from '../../src/backup/formats.ts'
import { gzipContentBytes, zstdContentBytes } from '../../src/backup/frame-size.ts'

const hex = (text: string, more = 64): Buffer =>
  Buffer.concat([Buffer.from(text.replace(/ /g, ''), 'hex'), Buffer.alloc(more, 1)])

describe('detectFormat', () => {
  test.each([
    ['xbstream', Buffer.from('XBSTCK01\0P')],
    ['zstd', hex('28b52ffd')],
    ['zstd behind a skippable frame', hex('502a4d18 04000000 aabbccdd 28b52ffd')],
    ['zstd behind a long skippable frame', hex('5f2a4d18 ff000000')],
    ['lz4', hex('04224d18')],
    ['lz4 legacy', hex('02214c18')],
    ['lz4 behind a skippable frame', hex('502a4d18 00000000 04224d18')],
    ['gzip', hex('1f8b0800')],
    ['bzip2', Buffer.from('BZh91AY&SY…')],
    ['bzip2 of nothing', hex('425a6839 177245385090')],
    ['xz', hex('fd377a585a00')],
    ['openssl', Buffer.from('Salted__12345678')],
    ['gpg armor', Buffer.from('-----BEGIN PGP MESSAGE-----\n')],
    ['gpg passphrase, as gpg 2.2 writes it', hex('8c0d 0409 0302 9726 d263fd02 1f73 ff d2')],
    ['gpg passphrase, version 6', hex('c31e 06 1a 09 02 0b')],
    ['gpg public key, 2-byte length', hex('85 010c 03 1122334455667788 01')],
    ['gpg public key, new header', hex('c1 5e 03 1122334455667788 12')],
    ['gpg data, partial length', hex('d2 ed 01')],
    ['gpg data, 5-byte length', hex('d2 ff 00100000 01')],
    ['gpg aead', hex('d4 ed 01 09 02 10')],
    ['gpg without integrity', hex('c9 ed 01')],
  ])('%s', (name, head) => {
    expect(detectFormat(head)).toBe(name.split(' ')[0])
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(64)],
    ['text', Buffer.from('backup_type = full-backuped\n')],
    ['tar', Buffer.from('xtrabackup_checkpoints\0\0\0\0')],
    ['gzip with reserved flags', hex('1f8b08e0')],
    ['a later xbstream version', Buffer.from('XBSTCK02\0P')],
    ['a skippable frame before text', Buffer.concat([hex('502a4d18 00000000', 0), Buffer.from('plain text')])],
    ['a public key, not a message', hex('99 010d 04 5f000000 01')],
  ])('%s is of no format', (_name, head) => {
    expect(detectFormat(head)).toBeNull()
  })

  test('random bytes are hardly ever taken for a format', () => {
    let state = 0x9e3779b9
    const random = (): number => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return state & 0xff
    }
    let matches = 0
    for (let round = 0; round < 100_000; round++) {
      if (detectFormat(Buffer.from(Array.from({ length: 32 }, random))) !== null) matches += 1
    }
    // Only OpenPGP can match by chance: about one in 2,000, most of them tag 9.
    expect(matches).toBeLessThan(100)
  })

  test('never throws, and what follows the magic changes nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
        const head = Buffer.from(bytes)
        const format = detectFormat(head)
        expect(format === null || typeof format === 'string').toBe(true)
        expect(detectFormat(Buffer.concat([hex('28b52ffd', 0), head]))).toBe('zstd')
        expect(detectFormat(Buffer.concat([Buffer.from('XBSTCK01'), head]))).toBe('xbstream')
      }),
    )
  })
})

describe('content sizes', () => {
  test('zstd: what the frame header says, unless more than one frame must follow', () => {
    expect(zstdContentBytes(hex('28b52ffd 84 58 c0c62d00'), 962_360)).toBe(3_000_000)
    expect(zstdContentBytes(hex('28b52ffd 84 58 c0c62d00'), 4_000_000)).toBeNull()
    expect(zstdContentBytes(hex('28b52ffd 04 58'), 100)).toBeNull()
    expect(zstdContentBytes(hex('28b52ffd 60 0010'), 50)).toBe(0x1000 + 256)
    expect(zstdContentBytes(hex('28b52ffd 84 58 c0c62d00'), null)).toBeNull()
  })

  test('gzip: the trailer, only of a file too small to have wrapped it', () => {
    expect(gzipContentBytes(Buffer.from('c0c62d00', 'hex'), 1_023_774)).toBe(3_000_000)
    expect(gzipContentBytes(Buffer.from('c0c62d00', 'hex'), 5_000_000)).toBeNull()
  })
})
