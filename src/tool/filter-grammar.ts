import type { ErrorCode } from '../errors.ts'
import { environmentFault } from './environment-wording.ts'
import type { Grammar, ToolEvent } from './events.ts'
import { saysDiskFull } from './failure-wording.ts'
import type { Failure } from './judge-exit.ts'

const NOTHING: readonly ToolEvent[] = []

/**
 * Wordings of zstd 1.5, gzip 1.12, lz4 1.9, bzip2 1.0, xz 5.4, gpg 2.2 and openssl 3.0, each provoked for real. The
 * first match counts. gzip, bzip2 and openssl explain themselves over several lines, of which only one names the cause.
 */
const WORDINGS: readonly (readonly [wording: string, code: ErrorCode])[] = [
  // source/check-stream.ts and source/unpack-stream.ts
  ['restore-agent: source_corrupt:', 'source_corrupt'],
  ['restore-agent: source_truncated:', 'source_truncated'],
  ['restore-agent: wrong_key:', 'wrong_key'],
  ['restore-agent: key_missing:', 'key_missing'],
  // What gpg says of a stream that ends too early, before it calls it manipulated: of known, then of unknown length.
  ['problem reading source', 'source_truncated'],
  [': read error (size=', 'source_truncated'],
  ['decryption failed: Bad session key', 'wrong_key'],
  ['decryption failed: Invalid cipher algorithm', 'wrong_key'],
  ['decryption failed: Checksum error', 'wrong_key'],
  ['decryption failed: No secret key', 'wrong_key'],
  ['encrypted message has been manipulated', 'source_corrupt'],
  ['no valid OpenPGP data found', 'source_unknown'],
  ['Unknown compression algorithm', 'source_unknown'],
  // openssl cannot tell a wrong key from a stream cut at a block's border; judgePipeline can, from what later stages
  // say.
  [':wrong final block length', 'source_truncated'],
  [':bad decrypt:', 'wrong_key'],
  ['bad magic number', 'source_unknown'],
  ['error reading input file', 'source_truncated'],
  ['Error getting password', 'key_missing'],
  ["can't open '", 'key_missing'],
  ['Unknown cipher', 'config_invalid'],
  ['AEAD ciphers not supported', 'config_invalid'],

  ['premature end', 'source_truncated'],
  ['unexpected end of file', 'source_truncated'],
  ['Unexpected end of input', 'source_truncated'],
  ['ends unexpectedly', 'source_truncated'],
  ['Unfinished stream', 'source_truncated'],
  ['unsupported format', 'source_unknown'],
  ['not in gzip format', 'source_unknown'],
  ['is not a bzip2 file', 'source_unknown'],
  ['File format not recognized', 'source_unknown'],
  ['Unrecognized header', 'source_unknown'],
  ['too much memory', 'memory'],
  ['Memory usage limit reached', 'memory'],
  ['Decoding error', 'source_corrupt'],
  ['Decompression error', 'source_corrupt'],
  ['undecodable data', 'source_corrupt'],
  ['invalid compressed data', 'source_corrupt'],
  ['Data integrity error', 'source_corrupt'],
  ['Compressed data is corrupt', 'source_corrupt'],
]

/** A stage with this message, or killed by SIGPIPE, lost its reader: the cause is further down the pipeline. */
export const CONSUMER_GONE = /Broken pipe|Connection reset by peer|error writing output file|Write error : cannot write/

/** Messages of a decompress or decrypt stage (filters.ts). */
export function filterGrammar(): Grammar {
  return (line, complete) => {
    if (!complete) return NOTHING
    const text = line.trim()
    if (text === '') return NOTHING
    if (saysDiskFull(text)) return [{ type: 'failure', code: 'disk_full', text }]
    for (const [wording, code] of WORDINGS) {
      if (text.includes(wording)) return [{ type: 'failure', code, text }]
    }
    const fault = environmentFault(text)
    if (fault !== null && fault !== 'key_missing') return [{ type: 'failure', code: fault, text }]
    return CONSUMER_GONE.test(text) ? [{ type: 'complaint', level: 'error', text }] : NOTHING
  }
}

/** The failures that a filter's whole stderr names, first to last. */
export function filterFailures(stderr: string): Failure[] {
  const grammar = filterGrammar()
  return stderr.split('\n').flatMap(line => grammar(line, true).filter(event => event.type === 'failure'))
}

/** Whether gpg or openssl refuse a key. */
export const refusesKey = (stderr: string): boolean =>
  /bad session key|bad passphrase|no secret key|no session key|decryption failed|bad decrypt|restore-agent: wrong_key/i.test(
    stderr,
  )

/** Whether zstd, gzip, lz4, bzip2, xz or gpg complain about an end that came too early. */
export const saysEarlyEnd = (stderr: string): boolean =>
  /premature|unexpected end|ends unexpectedly|unfinished|truncated|cannot read|incomplete|read error|source_truncated/i.test(
    stderr,
  )
