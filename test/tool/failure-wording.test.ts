import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { extractGrammar } from '../../src/tool/extract-grammar.ts'
import { saysDiskFull } from '../../src/tool/failure-wording.ts'
import { xtrabackupGrammar } from '../../src/tool/xtrabackup-grammar.ts'
import { eventsOf, only, transcriptDir } from './transcripts.ts'

interface KnownError {
  program: string
  stderr: string
  exit: number | null
  cls: string
}
const errors: KnownError[] = readFileSync(transcriptDir('xtrabackup/errors/errors.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line))

/** Null: nothing on stderr names a failure. `corrupt` is the extractor's; prepare's two are told apart below. */
const CODES: Record<string, ErrorCode | null> = {
  'target-not-empty': 'target_not_new',
  'disk-full': 'disk_full',
  'disk-full-silent': 'disk_full',
  'truncated-at-chunk-boundary': null,
  'truncated-in-chunk-header': 'source_truncated',
  'truncated-in-chunk-body': 'source_truncated',
  'not-xbstream-or-corrupt': 'source_unknown',
  corrupt: 'source_corrupt',
  'wrong-key': 'wrong_key',
  'wrong-key-length': 'wrong_key',
  'key-file-missing': 'key_missing',
  'no-metadata': 'backup_incomplete',
  'already-prepared': null,
  'already-log-applied': null,
  'incremental-base-not-log-applied': 'chain_broken',
  'incremental-mismatch': 'chain_broken',
  'incremental-reused': 'chain_broken',
  'version-mismatch': 'tool_version',
  permission: 'not_permitted',
  'datadir-not-empty': 'datadir_not_empty',
  'not-prepared': 'not_prepared',
  usage: 'internal',
  'unknown-option-warning': null,
}

describe('every error of xbstream and xtrabackup', () => {
  test.each(errors)('$program: $cls', ({ program, stderr, cls }) => {
    const grammar = program === 'xbstream' ? extractGrammar() : xtrabackupGrammar()
    const events = eventsOf(grammar, stderr)
    const expected = stderr.includes('not applied to the intended LSN') ? 'redo_incomplete' : CODES[cls]
    expect(expected).toBeDefined()
    expect(only(events, 'failure')[0]?.code ?? null).toBe(expected)
    if (cls === 'unknown-option-warning') expect(only(events, 'complaint')).toHaveLength(1)
  })

  test.each(errors)('$program: $cls, without its prefixes', ({ program, stderr, cls }) => {
    const bare = stderr.replace(/^\d{4}-\S+ 0 \[\w+\] \[MY-\d+\] \[Xtrabackup\] /gm, 'xtrabackup: ')
    const grammar = program === 'xbstream' ? extractGrammar() : xtrabackupGrammar()
    const expected = stderr.includes('not applied to the intended LSN') ? 'redo_incomplete' : CODES[cls]
    // Without its level an unknown option is not known to be a mere warning.
    expect(only(eventsOf(grammar, bare), 'failure')[0]?.code ?? null).toBe(
      cls === 'unknown-option-warning' ? 'tool_version' : expected,
    )
  })
})

test.each([
  "xbstream: Error writing file './d/a.ibd' (OS errno 28 - No space left on device)",
  'mbstream: Error writing file \'./ibdata1\' (Errcode: 28 "No space left on device")',
  'Error writing file \'ibdata1\' (errno: 28 "Auf dem Gerät ist kein Speicherplatz mehr verfügbar")',
  '[ERROR] InnoDB: preallocating 46137344 bytes for file app1/t2.ibd failed with error 28',
  '[ERROR] [MY-012644] [InnoDB] Operating system error number 28 in a file operation.',
  "[ERROR] [MY-012646] [InnoDB] Error number 28 means 'No space left on device'",
  'InnoDB: Check also that the disk is not full or a disk quota exceeded.',
  'zstd: error 70 : Write error : cannot write block : No space left on device ',
  'write failed: Disk quota exceeded',
])('disk full: %s', text => expect(saysDiskFull(text)).toBe(true))

test.each([
  'InnoDB: Doing recovery: scanned up to log sequence number 28122280',
  'Error writing file (errno: 284)',
  'Copying ./error/28.ibd to /d/error/28.ibd',
])('not disk full: %s', text => expect(saysDiskFull(text)).toBe(false))

test('mbstream stops at a path that leads out of the directory, and exits 0: the line is all that tells', () => {
  const line = '[00] 2026-11-23 19:38:58 /usr/bin/mbstream: invalid filename ../outside'
  expect(extractGrammar()(line, true)).toMatchObject([{ type: 'failure', code: 'source_corrupt' }])
})
