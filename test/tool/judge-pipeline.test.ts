import { describe, expect, test } from 'vitest'
import { exitOfShellStatus } from '../../src/process/tool-exit.ts'
import { extractGrammar } from '../../src/tool/extract-grammar.ts'
import { filterGrammar } from '../../src/tool/filter-grammar.ts'
import { type EndedStage, judgePipeline } from '../../src/tool/judge-pipeline.ts'
import { eventsOf, only } from './transcripts.ts'

const ROLES = {
  openssl: 'decrypt',
  gpg: 'decrypt',
  zstd: 'decompress',
  gzip: 'decompress',
  mbstream: 'extract',
} as const

/** A stage from what it really printed. */
function stage(program: keyof typeof ROLES, code: number, stderr = ''): EndedStage {
  const role = ROLES[program]
  const failures = only(eventsOf(role === 'extract' ? extractGrammar() : filterGrammar(), stderr), 'failure')
  return { program, role, exit: exitOfShellStatus(code), failures, lastWords: stderr.split('\n') }
}

const SIGPIPE = 141
const NOT_A_STREAM = '[00] 2026-11-23 06:14:18 xb_stream_read_chunk(): wrong chunk magic at offset 0x0.'
const BAD_CHUNK = '[00] 2026-11-23 06:13:21 xb_stream_read_chunk(): wrong chunk magic at offset 0xffefd6.'
const CUT = '[00] 2026-11-23 06:13:20 xb_stream_read_chunk(): my_read() failed.'
const FULL = '\x07mbstream: Error writing file \'./ibdata1\' (Errcode: 28 "No space left on device")'
const BAD_DECRYPT =
  'bad decrypt\n40A74ED20B7F0000:error:1C800064:Provider routines:ossl_cipher_unpadblock:bad decrypt:../providers/x.c:124:'
const WRONG_BLOCK =
  'bad decrypt\n40C7A5D3357F0000:error:1C80006B:Provider routines:ossl_cipher_generic_block_final:wrong final block length:../x.c:440:'
const GPG_PIPE =
  "gpg: error writing to '-': Broken pipe\ngpg: error flushing '[stdout]': Broken pipe\ngpg: handle plaintext failed: Broken pipe"

describe('nothing to blame', () => {
  test.each([
    ['one stage', [stage('mbstream', 0)]],
    ['three stages', [stage('gpg', 0), stage('zstd', 0), stage('mbstream', 0)]],
    [
      'gzip ignored trailing bytes',
      [stage('gzip', 2, 'gzip: stdin: decompression OK, trailing garbage ignored'), stage('mbstream', 0)],
    ],
  ])('%s', (_, stages) => expect(judgePipeline(stages)).toBeNull())
})

test.each<[string, EndedStage[], string, number]>([
  ['disk full at the end', [stage('zstd', SIGPIPE), stage('mbstream', 1, FULL)], 'disk_full', 1],
  ['disk full, gpg notices', [stage('gpg', 2, GPG_PIPE), stage('mbstream', 1, FULL)], 'disk_full', 1],
  ['disk full in a decompressor that exits 0', [stage('gpg', 0), stage('mbstream', 0, FULL)], 'disk_full', 1],
  ['corrupt chunk', [stage('zstd', SIGPIPE), stage('mbstream', 1, BAD_CHUNK)], 'source_corrupt', 1],
  ['no xbstream inside', [stage('zstd', SIGPIPE), stage('mbstream', 1, NOT_A_STREAM)], 'source_unknown', 1],
  [
    'cut in zstd',
    [stage('zstd', 1, '/*stdin*\\ : Read error (39) : premature end '), stage('mbstream', 1, CUT)],
    'source_truncated',
    0,
  ],
  [
    'cut in zstd at a chunk border',
    [stage('zstd', 1, '/*stdin*\\ : Read error (39) : premature end '), stage('mbstream', 0)],
    'source_truncated',
    0,
  ],
  [
    'flipped in zstd',
    [
      stage('zstd', 1, "/*stdin*\\ : Decoding error (36) : Restored data doesn't match checksum "),
      stage('mbstream', 1, CUT),
    ],
    'source_corrupt',
    0,
  ],
  [
    'zstd ignores SIGPIPE',
    [
      stage('zstd', 70, 'zstd: error 70 : Write error : cannot write block : Broken pipe '),
      stage('mbstream', 1, BAD_CHUNK),
    ],
    'source_corrupt',
    1,
  ],
  ['wrong gpg key', [stage('gpg', 2, 'gpg: decryption failed: Bad session key'), stage('mbstream', 0)], 'wrong_key', 0],
  [
    'wrong gpg key, zstd between',
    [
      stage('gpg', 2, 'gpg: decryption failed: Bad session key'),
      stage('zstd', 1, 'zstd: /*stdin*\\: unexpected end of file '),
      stage('mbstream', 0),
    ],
    'wrong_key',
    0,
  ],
  [
    'manipulated gpg',
    [stage('gpg', 2, 'gpg: WARNING: encrypted message has been manipulated!'), stage('mbstream', 1, CUT)],
    'source_corrupt',
    0,
  ],
  [
    'wrong openssl key',
    [stage('openssl', 1, 'error writing output file'), stage('mbstream', 1, NOT_A_STREAM)],
    'wrong_key',
    0,
  ],
  [
    'wrong openssl key, died of SIGPIPE',
    [stage('openssl', SIGPIPE), stage('mbstream', 1, NOT_A_STREAM)],
    'wrong_key',
    0,
  ],
  [
    'wrong openssl key, all was read',
    [stage('openssl', 1, BAD_DECRYPT), stage('mbstream', 1, NOT_A_STREAM)],
    'wrong_key',
    0,
  ],
  [
    'wrong openssl key of a stream cipher',
    [stage('openssl', 0), stage('zstd', 1, 'zstd: /*stdin*\\: unsupported format '), stage('mbstream', 0)],
    'wrong_key',
    0,
  ],
  ['openssl cut inside a block', [stage('openssl', 1, WRONG_BLOCK), stage('mbstream', 1, CUT)], 'source_truncated', 0],
  ['openssl cut between blocks', [stage('openssl', 1, BAD_DECRYPT), stage('mbstream', 1, CUT)], 'source_truncated', 0],
  [
    'openssl cut between blocks and chunks',
    [stage('openssl', 1, BAD_DECRYPT), stage('mbstream', 0)],
    'source_truncated',
    0,
  ],
  [
    'openssl, corrupt later',
    [stage('openssl', 1, 'error writing output file'), stage('mbstream', 1, BAD_CHUNK)],
    'source_corrupt',
    1,
  ],
  [
    'killed in the middle',
    [stage('openssl', SIGPIPE), stage('zstd', 137), stage('mbstream', 1, CUT)],
    'tool_killed',
    1,
  ],
  ['killed extractor', [stage('zstd', SIGPIPE), stage('mbstream', 137)], 'tool_killed', 1],
  ['a consumer gone without a word', [stage('zstd', SIGPIPE), stage('mbstream', 0)], 'extract_failed', 0],
  ['an extractor that only exits 1', [stage('zstd', SIGPIPE), stage('mbstream', 1)], 'extract_failed', 1],
])('%s', (_, stages, code, index) => {
  expect(judgePipeline(stages)).toMatchObject({ code, stage: index })
})
