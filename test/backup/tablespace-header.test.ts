import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TABLESPACE_HEADER_BYTES, tablespaceBytes } from '../../src/backup/tablespace-header.ts'

/** Page 0 of a tablespace with so many pages. */
function header(flags: number, pages = 6): Buffer {
  const bytes = Buffer.alloc(TABLESPACE_HEADER_BYTES)
  bytes.writeUInt16BE(8, 24)
  bytes.writeUInt32BE(23, 34)
  bytes.writeUInt32BE(23, 38)
  bytes.writeUInt32BE(pages, 46)
  bytes.writeUInt32BE(flags >>> 0, 54)
  return bytes
}

const K = 1024

describe('a tablespace tells its size', () => {
  test.each<[what: string, flags: number, pageBytes: number, bytes: number]>([
    ['COMPACT', 0, 16 * K, 6 * 16 * K],
    ['DYNAMIC', 0x21, 16 * K, 6 * 16 * K],
    ['DYNAMIC with DATA DIRECTORY, MySQL 5.7', 0x421, 16 * K, 6 * 16 * K],
    ['DYNAMIC, MySQL 8.0', 0x4021, 16 * K, 6 * 16 * K],
    ['encrypted, MySQL 8.0', 0x6021, 16 * K, 6 * 16 * K],
    ['page_compressed, MariaDB 10.2', 0x10021, 16 * K, 6 * 16 * K],
    ['COMPRESSED, KEY_BLOCK_SIZE=1: without the last pages, which need not be there yet', 0x23, 16 * K, 4 * K],
    ['COMPRESSED, KEY_BLOCK_SIZE=8', 0x29, 16 * K, 6 * 8 * K],
    ['COMPRESSED, KEY_BLOCK_SIZE=16', 0x2b, 16 * K, 6 * 16 * K],
    ['pages of 4 KiB', 0x21 | (3 << 6), 4 * K, 6 * 4 * K],
    ['pages of 4 KiB, COMPRESSED', 0x25 | (3 << 6), 4 * K, 6 * 2 * K],
    ['pages of 64 KiB', 0x21 | (7 << 6), 64 * K, 6 * 64 * K],
    ['full_crc32', 0x15, 16 * K, 6 * 16 * K],
    ['full_crc32, page_compressed', 0x35, 16 * K, 6 * 16 * K],
    ['full_crc32, pages of 4 KiB', 0x13, 4 * K, 6 * 4 * K],
    ['full_crc32, pages of 64 KiB', 0x17, 64 * K, 6 * 64 * K],
  ])('%s', (_, flags, pageBytes, bytes) => {
    expect(tablespaceBytes(header(flags), pageBytes)).toBe(bytes)
  })

  test('of more than 4 GiB too', () => {
    expect(tablespaceBytes(header(0x15, 0xffff_fff0), 16 * K)).toBe(0xffff_fff0 * 16 * K)
  })
})

describe('a tablespace that is not understood tells none', () => {
  test.each<[what: string, flags: number, pageBytes: number]>([
    ['page_compressed at level 3, MariaDB 10.1.20', 0x21 | (7 << 6), 16 * K],
    ['page_compressed at level 1, MariaDB 10.1.20', 0x21 | (3 << 6), 16 * K],
    ['another page size than the backup’s', 0x21, 4 * K],
    ['full_crc32 with another page size', 0x13, 16 * K],
    ['full_crc32 with bits that nobody uses yet', 0x115, 16 * K],
    ['bits that nobody uses yet', 0x20021, 16 * K],
    ['a compressed page larger than a page', 0x29 | (3 << 6), 4 * K],
  ])('%s', (_, flags, pageBytes) => {
    expect(tablespaceBytes(header(flags), pageBytes)).toBeNull()
  })

  test.each<[what: string, offset: number]>([
    ['another page number', 7],
    ['another page type', 25],
    ['two space ids', 37],
  ])('%s', (_, offset) => {
    const bytes = header(0x15)
    bytes[offset]! ^= 1
    expect(tablespaceBytes(bytes, 16 * K)).toBeNull()
  })

  test('zeros, and what is too short for a header', () => {
    expect(tablespaceBytes(Buffer.alloc(TABLESPACE_HEADER_BYTES), 16 * K)).toBeNull()
    expect(tablespaceBytes(header(0x15).subarray(0, 63), 16 * K)).toBeNull()
  })

  test('or its pages are at most as large as the backup’s, whatever the bytes', () => {
    const sizes = fc.constantFrom(4 * K, 8 * K, 16 * K, 32 * K, 64 * K)
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), sizes, (flags, pages, pageBytes) => {
        const bytes = tablespaceBytes(header(flags, pages), pageBytes)
        if (bytes !== null) expect(bytes <= pages * pageBytes && bytes > pages * K - 4 * K).toBe(true)
      }),
    )
  })
})
