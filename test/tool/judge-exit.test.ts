import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { type EndedTool, judgeExit, signalOf, type ToolPhase } from '../../src/tool/judge-exit.ts'
import { mariadbBackupGrammar } from '../../src/tool/mariadb-backup-grammar.ts'
import { eventsOf, only, stderrOf } from './transcripts.ts'

const failure = (code: ErrorCode, text = code) => ({ type: 'failure', code, text }) as const
const ended = (phase: ToolPhase, code: number | null, rest: Partial<EndedTool> = {}): EndedTool => ({
  program: 'tool',
  phase,
  exit: { code, signal: null },
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
  test.each([
    [{ code: null, signal: 'SIGKILL' }, 'SIGKILL'],
    [{ code: 137, signal: null }, 'SIGKILL'],
    [{ code: 134, signal: null }, 'SIGABRT'],
    [{ code: 141, signal: null }, 'SIGPIPE'],
    [{ code: 1, signal: null }, null],
    [{ code: 255, signal: null }, null],
  ])('%j is %s', (exit, signal) => expect(signalOf(exit)).toBe(signal))

  test('killed from outside, or by us', () => {
    expect(judgeExit(ended('prepare', 137))).toEqual({ code: 'tool_killed', message: 'tool was killed by SIGKILL' })
    expect(judgeExit(ended('prepare', 143))?.code).toBe('tool_killed')
    expect(judgeExit(ended('prepare', 137, { endedByUs: true }))?.code).toBe('prepare_failed')
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

  test('without one the exit code is all there is to say', () => {
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
