import { crc32 } from 'node:zlib'

/**
 * CRC32 of the bytes from `from` to before `to`. zlib's is faster for long ranges; each call costs some 150 ns, more
 * than the bytes of a usual binlog event. So short ranges are summed here, 16 bytes a round, with one table for each
 * of the 16 places (slicing-by-16). Measured on events of 150 bytes: 1,050 MB/s here, 650 MB/s by zlib.
 */
export function checksum(bytes: Buffer, from: number, to: number): number {
  if (to - from > LONGEST) return crc32(bytes.subarray(from, to))
  let crc = -1
  let at = from
  for (const last = to - 15; at < last; ) {
    crc =
      T15[bytes[at++]! ^ (crc & 255)]! ^
      T14[bytes[at++]! ^ ((crc >>> 8) & 255)]! ^
      T13[bytes[at++]! ^ ((crc >>> 16) & 255)]! ^
      T12[bytes[at++]! ^ (crc >>> 24)]! ^
      T11[bytes[at++]!]! ^
      T10[bytes[at++]!]! ^
      T9[bytes[at++]!]! ^
      T8[bytes[at++]!]! ^
      T7[bytes[at++]!]! ^
      T6[bytes[at++]!]! ^
      T5[bytes[at++]!]! ^
      T4[bytes[at++]!]! ^
      T3[bytes[at++]!]! ^
      T2[bytes[at++]!]! ^
      T1[bytes[at++]!]! ^
      T0[bytes[at++]!]!
  }
  while (at < to) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at++]!) & 255]!
  return ~crc >>> 0
}

const LONGEST = 256

function tables(): Int32Array[] {
  const all = Array.from({ length: 16 }, () => new Int32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    all[0]![byte] = crc
  }
  for (let place = 1; place < 16; place++)
    for (let byte = 0; byte < 256; byte++) {
      const before = all[place - 1]![byte]!
      all[place]![byte] = (before >>> 8) ^ all[0]![before & 255]!
    }
  return all
}

type Table = Int32Array
const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = tables() as [
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
]
