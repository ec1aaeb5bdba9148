/**
 * How long an InnoDB file says it is. Page 0 of every tablespace begins with
 *
 *   offset  bytes
 *        4      4  page number: 0
 *       24      2  page type: 8, FIL_PAGE_TYPE_FSP_HDR
 *       34      4  space id, and once more at 38
 *       46      4  FSP_SIZE: pages that the space has; the file is made longer before this is raised
 *       54      4  FSP_SPACE_FLAGS
 *
 * all big endian, and in the clear also where the other pages are compressed or encrypted. The flags have two formats:
 *
 * MySQL, MariaDB bit 0, bits 1-4 ZIP_SSIZE, bit 5, bits 6-9 PAGE_SSIZE (0: 16 KiB), others that say nothing of sizes
 *   MariaDB from 10.5 full_crc32: bits 0-3 PAGE_SSIZE, bit 4 set (always 0 in the other), bits 5-7 page compression
 *
 * A size is 512 << SSIZE. MariaDB 10.1.0 to 10.1.20 wrote other bits at these places. So nothing is believed unless the
 * page size that comes out is the one of the backup, which all its tablespaces have.
 */
export const TABLESPACE_HEADER_BYTES = 64

export const DEFAULT_PAGE_BYTES = 16384

/**
 * Files grow by so many bytes at least: of smaller pages, which ROW_FORMAT=COMPRESSED has, the last three may not be
 * there yet.
 */
const ALLOCATED_BYTES = 4096

const FILE_HEADER_PAGE = 8
/** Of the classic flags, in MySQL 5.7: a general tablespace, in which tables of several databases may lie. */
const SHARED = 1 << 11
const FULL_CRC32 = 1 << 4
const FULL_CRC32_KNOWN = 0xff
/** Bits 0 to 14 (MySQL 8.0 has the most), and 16: MariaDB's page compression. */
const CLASSIC_KNOWN = 0x17fff

/**
 * The least bytes the file must have, by its own first `TABLESPACE_HEADER_BYTES`; null where they are no header or one
 * that is not understood. `pageBytes` is the backup's innodb_page_size.
 */
export function tablespaceBytes(header: Buffer, pageBytes: number): number | null {
  if (header.length < TABLESPACE_HEADER_BYTES) return null
  const storedPageBytes = isFileHeader(header) ? storedPage(header.readUInt32BE(54), pageBytes) : null
  if (storedPageBytes === null) return null
  const bytes = header.readUInt32BE(46) * storedPageBytes
  return bytes - (bytes % ALLOCATED_BYTES)
}

/** Whether the first bytes of an InnoDB file are a header, of a tablespace that holds one table or partition. */
export const isFileOfOneTable = (header: Buffer): boolean =>
  isFileHeader(header) && ((header.readUInt32BE(54) & FULL_CRC32) !== 0 || (header.readUInt32BE(54) & SHARED) === 0)

const isFileHeader = (header: Buffer): boolean =>
  header.readUInt32BE(4) === 0 &&
  header.readUInt16BE(24) === FILE_HEADER_PAGE &&
  header.readUInt32BE(34) === header.readUInt32BE(38)

/**
 * Bytes that a page takes in the file: less than `pageBytes` with ROW_FORMAT=COMPRESSED. Null where the flags are not
 * understood.
 */
function storedPage(flags: number, pageBytes: number): number | null {
  if (flags & FULL_CRC32) return flags <= FULL_CRC32_KNOWN && sizeOf(flags & 15) === pageBytes ? pageBytes : null
  if ((flags | CLASSIC_KNOWN) !== CLASSIC_KNOWN) return null
  const pageSize = (flags >> 6) & 15
  if ((pageSize === 0 ? DEFAULT_PAGE_BYTES : sizeOf(pageSize)) !== pageBytes) return null
  const zipSize = (flags >> 1) & 15
  if (zipSize === 0) return pageBytes
  return sizeOf(zipSize) <= pageBytes ? sizeOf(zipSize) : null
}

const sizeOf = (shift: number): number => 512 << shift
