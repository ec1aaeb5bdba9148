/**
 * Whether bytes begin an OpenPGP message (RFC 4880 and 9580). There is no magic number, only a packet header whose
 * first byte fits one random byte in twenty, so the first fields of the body are checked too:
 *
 *   tag 1  session key for a public key:  version 3 or 6, in version 3 a known algorithm after 8 bytes of key id
 *   tag 3  session key for a passphrase:  version 4 to 6, then a known cipher and string-to-key
 *   tag 9  data without integrity check:  nothing to check but the length: partial, or exactly what there is
 *   tag 18 data with integrity check:     version 1 or 2
 *   tag 20 data with authentication:      version 1, known cipher, mode and chunk size (GnuPG 2.3)
 */
export function isOpenPgp(head: Buffer): boolean {
  const packet = readHeader(head)
  if (!packet) return false
  const { tag, body, bodyBytes } = packet
  const [version = 0, second = 0] = body
  switch (tag) {
    case 1:
      return (version === 3 && PUBLIC_KEY.has(body[9] ?? 0)) || (version === 6 && second <= 33)
    case 3:
      return (version === 4 && isCipher(second) && STRING_TO_KEY.has(body[2] ?? -1)) || (isV5(version) && second < 64)
    case 9:
      return bodyBytes === 'partial' || bodyBytes === body.length
    case 18:
      return version === 1 || (version === 2 && isCipher(second))
    case 20:
      return version === 1 && isCipher(second) && (body[2] ?? 0) >= 1 && (body[2] ?? 0) <= 3 && (body[3] ?? 99) <= 56
    default:
      return false
  }
}

const PUBLIC_KEY = new Set([1, 2, 16, 18, 20, 25, 26])
const STRING_TO_KEY = new Set([0, 1, 3, 4])
const isCipher = (byte: number): boolean => byte >= 1 && byte <= 13
/** Versions 5 and 6 put the length of what follows, a handful of bytes, where version 4 has the cipher. */
const isV5 = (version: number): boolean => version === 5 || version === 6

interface Packet {
  tag: number
  body: Buffer
  bodyBytes: number | 'partial' | 'indeterminate'
}

function readHeader(head: Buffer): Packet | null {
  if (head.length < 12) return null
  const first = head[0]!
  if ((first & 0x80) === 0) return null
  if ((first & 0x40) === 0) {
    const lengthType = first & 3
    const lengthBytes = lengthType === 3 ? 0 : 1 << lengthType
    const bodyBytes = lengthType === 3 ? 'indeterminate' : head.readUIntBE(1, lengthBytes)
    return { tag: (first >> 2) & 0xf, body: head.subarray(1 + lengthBytes), bodyBytes }
  }
  const tag = first & 0x3f
  const length = head[1]!
  if (length < 192) return { tag, body: head.subarray(2), bodyBytes: length }
  if (length < 224) return { tag, body: head.subarray(3), bodyBytes: ((length - 192) << 8) + head[2]! + 192 }
  if (length === 255) return { tag, body: head.subarray(6), bodyBytes: head.readUInt32BE(2) }
  // A first partial length is at least 512 bytes, and only data packets may have one.
  const mayBePartial = (length & 0x1f) >= 9 && (tag === 9 || tag === 18 || tag === 20)
  return mayBePartial ? { tag, body: head.subarray(2), bodyBytes: 'partial' } : null
}
