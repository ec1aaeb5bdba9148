import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { exitOfShellStatus } from '../../src/process/tool-exit.ts'
import { type EndedTool, judgeExit, type ToolPhase } from '../../src/tool/judge-exit.ts'
import { mariadbBackupGrammar } from '../../src/tool/mariadb-backup-grammar.ts'
import { eventsOf, only, stderrOf } from './transcripts.ts'

const failure = (code: ErrorCode, text = code) => ({ type: 'failure', code, text }) as const
const ended = (phase: ToolPhase, status: number, rest: Partial<EndedTool> = {}): EndedTool => ({
  program: 'tool',
  phase,
  exit: exitOfShellStatus(status),
  failures: [],
  saidCompletedOk: false,
  ...rest,
})

describe('exit 0', () => {
  test('is fine for an extractor that said nothing, and for the others with their last word', () => {
    expect(judgeExit(ended('extract', 0))).toBeNull()
    for (const phase of ['prepare', 'move_back', 'decompress'] as const) {
      expect(judgeExit(ended(phase, 0, { saidCompletedOk: true }))).toBeNull()
    }
  })

  test.each([
    ['prepare', 'prepare_failed'],
    ['move_back', 'move_back_failed'],
    ['decompress', 'extract_failed'],
  ] as const)('%s without "completed OK!" has failed', (phase, code) => {
    expect(judgeExit(ended(phase, 0))).toEqual({ code, message: 'tool exited 0 but never said "completed OK!"' })
  })

  test.each<ErrorCode>(['disk_full', 'target_not_new', 'wrong_key', 'source_corrupt', 'source_truncated'])(
    'an extractor that went on after %s has failed',
    code => expect(judgeExit(ended('extract', 0, { failures: [failure(code)] }))?.code).toBe(code),
  )
})

describe('signals', () => {
  test('killed from outside', () => {
    expect(judgeExit(ended('prepare', 137))).toEqual({ code: 'tool_killed', message: 'tool was killed by SIGKILL' })
    expect(judgeExit(ended('prepare', 143))?.code).toBe('tool_killed')
  })

  test('a crash is the tool’s own, and of a full disk if it said so', () => {
    expect(judgeExit(ended('prepare', 134))).toEqual({ code: 'prepare_failed', message: 'tool crashed (SIGABRT)' })
    expect(judgeExit(ended('prepare', 134, { failures: [failure('disk_full')] }))?.code).toBe('disk_full')
  })
})

describe('which failure counts', () => {
  test.each<[ErrorCode[], ErrorCode]>([
    [[], 'prepare_failed'],
    [['prepare_failed'], 'prepare_failed'],
    [['prepare_failed', 'backup_incomplete'], 'backup_incomplete'],
    [['redo_incomplete', 'source_corrupt'], 'redo_incomplete'],
    [['source_corrupt', 'disk_full'], 'disk_full'],
  ])('of %j it is %s', (codes, expected) => {
    expect(judgeExit(ended('prepare', 1, { failures: codes.map(code => failure(code)) }))?.code).toBe(expected)
  })

  test('without one the tool’s own error is the headline; a crash that it names before all', () => {
    const complaint = (level: 'error' | 'crash', text: string) => ({ type: 'complaint', level, text }) as const
    const error = complaint('error', 'Unknown thing 7')
    expect(judgeExit(ended('prepare', 1, { complaints: [error] }))?.message).toBe('tool: Unknown thing 7')
    expect(judgeExit(ended('prepare', 134, { complaints: [error] }))?.message).toBe(
      'tool crashed (SIGABRT): Unknown thing 7',
    )
    const crash = complaint('crash', 'xtrabackup got signal 6')
    expect(judgeExit(ended('prepare', 2, { complaints: [error, crash] }))).toEqual({
      code: 'prepare_failed',
      message: 'xtrabackup got signal 6',
    })
    const illegal = complaint('crash', 'xtrabackup got signal 4')
    expect(judgeExit(ended('prepare', 2, { complaints: [illegal] }))).toEqual({
      code: 'tool_broken',
      message: 'xtrabackup got signal 4',
    })
  })

  test('without any the exit code is all there is to say', () => {
    expect(judgeExit(ended('move_back', 1))).toEqual({ code: 'move_back_failed', message: 'tool exited 1' })
  })
})

test.each([
  ['prepare-disk-full', 'prepare', 134, 'disk_full'],
  ['prepare-missing-redo', 'prepare', 1, 'backup_incomplete'],
  ['prepare-truncated-redo-118', 'prepare', 1, 'redo_incomplete'],
  ['prepare-sigkill', 'prepare', 137, 'tool_killed'],
  ['chain2-2-inc1-again', 'prepare', 1, 'chain_broken'],
  ['moveback-nonempty', 'move_back', 1, 'datadir_not_empty'],
  ['copyback-disk-full', 'move_back', 1, 'disk_full'],
  ['extract-nonempty-dir', 'extract', 0, 'target_not_new'],
  ['extract-disk-full', 'extract', 1, 'disk_full'],
  ['tiny-prepare', 'prepare', 0, null],
  // Not success either: only the LSNs tell, and comparing those is verify's business.
  ['prepare-corrupt-redo', 'prepare', 0, null],
] as const)('%s ends as it did', (name, phase, code, expected) => {
  const events = eventsOf(mariadbBackupGrammar(), stderrOf(`mariadb/${name}`))
  const failures = only(events, 'failure')
  const saidCompletedOk = only(events, 'completed_ok').length > 0
  expect(judgeExit(ended(phase, code, { failures, saidCompletedOk }))?.code ?? null).toBe(expected)
})
