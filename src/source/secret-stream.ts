/**
 * libsodium's crypto_secretstream_xchacha20poly1305, as wal-g writes it: a header of 24 bytes, then messages of 8192
 * bytes, each with 17 more (an encrypted tag in front, a MAC behind); the last one is shorter and has the tag FINAL.
 *
 * HChaCha20 makes the stream's key from the user's key and 16 bytes of the header. Each message is encrypted by
 * ChaCha20 (RFC 8439) under a nonce of a counter and 8 bytes that every MAC changes. What is authenticated is a block
 * of 64 bytes that begins with the tag, and the message: as in the AEAD of RFC 8439 but for the padding, which is of
 * `length mod 16` bytes. So Node's AEAD does all messages whose length is 0 or 8 mod 16, and only the last of a stream
 * can have another one: its MAC is computed here.
 */
import { createCipheriv, createDecipheriv, timingSafeEqual } from 'node:crypto'
import { RestoreError } from '../errors.ts'

const HEADER_BYTES = 24
const MAC_BYTES = 16
const MESSAGE_BYTES = 8192 + 1 + MAC_BYTES
const BLOCK_BYTES = 64
const TAG_REKEY = 2
const TAG_FINAL = 3

export interface SecretStream {
  /** The plain bytes of the messages that are whole by now. Throws `wrong_key` or `source_corrupt`. */
  push(piece: Buffer): Buffer
  /** The rest. Throws `source_truncated` where the stream ends before its last message, and as `push` does. */
  end(): Buffer
}

/** `name` is what errors call the stream. */
export function createSecretStream(key: Buffer, name: string): SecretStream {
  let rest: Buffer = Buffer.alloc(0)
  let state: { key: Buffer; nonce: Buffer } | null = null
  let messages = 0
  let isFinal = false

  function take(sealed: Buffer): Buffer {
    if (isFinal) throw new RestoreError('source_corrupt', `${name}: bytes follow the last message`)
    const opened = openMessage(state!, sealed)
    if (opened === null)
      throw messages === 0
        ? new RestoreError('wrong_key', `${name} is encrypted with another key`)
        : new RestoreError('source_corrupt', `${name}: the checksum of message ${messages} is wrong`)
    messages += 1
    isFinal = opened.tag === TAG_FINAL
    return opened.bytes
  }

  /** Keeps back what may be the last message. */
  function drain(least: number): Buffer {
    const plain: Buffer[] = []
    if (state === null && rest.length >= HEADER_BYTES) {
      state = { key: hChaCha20(key, rest.subarray(0, 16)), nonce: Buffer.concat([COUNTER_1, rest.subarray(16, 24)]) }
      rest = rest.subarray(HEADER_BYTES)
    }
    while (state !== null && rest.length >= least) {
      plain.push(take(rest.subarray(0, MESSAGE_BYTES)))
      rest = rest.subarray(MESSAGE_BYTES)
    }
    return Buffer.concat(plain)
  }

  return {
    push(piece) {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      return drain(MESSAGE_BYTES)
    },
    end() {
      const plain = drain(1)
      if (!isFinal) throw new RestoreError('source_truncated', `${name} ends before its last message`)
      return plain
    },
  }
}

/** Keys that a key file may hold: 32 bytes in hex or base64, or, as old versions of wal-g, 25 or more as they are. */
export function secretStreamKeys(file: Buffer): Buffer[] {
  const text = file.toString('latin1').trim()
  const keys: Buffer[] = []
  if (/^[0-9a-f]{64}$/i.test(text)) keys.push(Buffer.from(text, 'hex'))
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) keys.push(Buffer.from(text, 'base64'))
  if (file.length === 32) keys.push(file)
  if (text.length >= 25) keys.push(Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(32)]).subarray(0, 32))
  return keys
}

/** The key of `keys` that opens the first message of a stream that begins with `head`; null where none does. */
export function openingKey(head: Buffer, keys: readonly Buffer[]): Buffer | null {
  const sealed = head.subarray(HEADER_BYTES, HEADER_BYTES + MESSAGE_BYTES)
  if (sealed.length < 1 + MAC_BYTES) return null
  const opens = (key: Buffer) => {
    const nonce = Buffer.concat([COUNTER_1, head.subarray(16, HEADER_BYTES)])
    return openMessage({ key: hChaCha20(key, head.subarray(0, 16)), nonce }, sealed) !== null
  }
  return keys.find(opens) ?? null
}

const COUNTER_1 = Buffer.from([1, 0, 0, 0])

function openMessage(state: { key: Buffer; nonce: Buffer }, sealed: Buffer): { tag: number; bytes: Buffer } | null {
  if (sealed.length < 1 + MAC_BYTES) return null
  const mac = sealed.subarray(sealed.length - MAC_BYTES)
  const block = keyBlock(state)
  const tag = sealed[0]! ^ block[0]!
  block[0] = sealed[0]!
  const bytes = sealed.subarray(1, sealed.length - MAC_BYTES)
  const plain = bytes.length % 8 === 0 ? openAead(state, block, bytes, mac) : openOdd(state, block, bytes, mac)
  if (plain === null) return null
  advance(state, mac, tag)
  return { tag, bytes: plain }
}

function openAead(
  { key, nonce }: { key: Buffer; nonce: Buffer },
  block: Buffer,
  bytes: Buffer,
  mac: Buffer,
): Buffer | null {
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: MAC_BYTES })
  decipher.setAuthTag(mac)
  const plain = decipher.update(Buffer.concat([block, bytes]))
  try {
    decipher.final()
    return plain.subarray(BLOCK_BYTES)
  } catch {
    return null
  }
}

function openOdd(state: { key: Buffer; nonce: Buffer }, block: Buffer, bytes: Buffer, mac: Buffer): Buffer | null {
  const lengths = Buffer.alloc(16)
  lengths.writeBigUInt64LE(BigInt(BLOCK_BYTES + bytes.length), 8)
  const sealed = Buffer.concat([block, bytes, Buffer.alloc(bytes.length % 16), lengths])
  const expected = poly1305(chaCha20(state, 0, Buffer.alloc(32)), sealed)
  return timingSafeEqual(expected, mac) ? chaCha20(state, 2, bytes) : null
}

/** The nonce of the next message, and after a tag that says so the next key. */
function advance(state: { key: Buffer; nonce: Buffer }, mac: Buffer, tag: number): void {
  const next = Buffer.from(state.nonce)
  for (let index = 0; index < 8; index++) next[4 + index]! ^= mac[index]!
  next.writeUInt32LE((next.readUInt32LE(0) + 1) >>> 0, 0)
  state.nonce = next
  if ((tag & TAG_REKEY) === 0 && next.readUInt32LE(0) !== 0) return
  const renewed = chaCha20(state, 0, Buffer.concat([state.key, next.subarray(4)]))
  state.key = renewed.subarray(0, 32)
  state.nonce = Buffer.concat([COUNTER_1, renewed.subarray(32)])
}

/** RFC 8439, from a block counter on. */
function chaCha20({ key, nonce }: { key: Buffer; nonce: Buffer }, counter: number, bytes: Buffer): Buffer {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(counter, 0)
  nonce.copy(iv, 4)
  return createCipheriv('chacha20', key, iv).update(bytes)
}

const SIGMA = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const

/** The 20 rounds on 16 words. */
function rounds(words: Uint32Array): void {
  const mix = (a: number, b: number, c: number, turn: number) => {
    words[a] = words[a]! + words[b]!
    const turned = words[c]! ^ words[a]!
    words[c] = (turned << turn) | (turned >>> (32 - turn))
  }
  for (let round = 0; round < 10; round++)
    for (const [a, b, c, d] of QUARTERS) {
      mix(a, b, d, 16)
      mix(c, d, b, 12)
      mix(a, b, d, 8)
      mix(c, d, b, 7)
    }
}

function wordsOf(key: Buffer, last: Buffer): Uint32Array {
  const words = new Uint32Array(16)
  words.set(SIGMA)
  for (let index = 0; index < 8; index++) words[4 + index] = key.readUInt32LE(4 * index)
  for (let index = 0; index < 4; index++) words[12 + index] = last.readUInt32LE(4 * index)
  return words
}

/** draft-irtf-cfrg-xchacha, section 2.2: a key from a key of 32 and a nonce of 16 bytes. */
function hChaCha20(key: Buffer, nonce: Buffer): Buffer {
  const words = wordsOf(key, nonce)
  rounds(words)
  const made = Buffer.alloc(32)
  for (let index = 0; index < 4; index++) {
    made.writeUInt32LE(words[index]!, 4 * index)
    made.writeUInt32LE(words[12 + index]!, 16 + 4 * index)
  }
  return made
}

/** Block 1 of ChaCha20's key stream: here it costs less than a cipher of OpenSSL's. */
function keyBlock({ key, nonce }: { key: Buffer; nonce: Buffer }): Buffer {
  const before = wordsOf(key, Buffer.concat([COUNTER_1, nonce]))
  const words = Uint32Array.from(before)
  rounds(words)
  const block = Buffer.alloc(BLOCK_BYTES)
  for (let index = 0; index < 16; index++) block.writeUInt32LE((words[index]! + before[index]!) >>> 0, 4 * index)
  return block
}

const PRIME = (1n << 130n) - 5n
const CLAMP = 0x0ffffffc0ffffffc0ffffffc0fffffffn

/** RFC 8439, section 2.5. */
function poly1305(key: Buffer, message: Buffer): Buffer {
  const number = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex') || '0'}`)
  const r = number(key.subarray(0, 16)) & CLAMP
  let sum = 0n
  for (let at = 0; at < message.length; at += 16) {
    const part = message.subarray(at, at + 16)
    sum = ((sum + number(part) + (1n << BigInt(8 * part.length))) * r) % PRIME
  }
  const mac = (sum + number(key.subarray(16, 32))) & ((1n << 128n) - 1n)
  return Buffer.from(mac.toString(16).padStart(32, '0'), 'hex').reverse()
}
