import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { environmentFault } from '../../src/tool/environment-wording.ts'
import { extractGrammar } from '../../src/tool/extract-grammar.ts'
import { filterGrammar } from '../../src/tool/filter-grammar.ts'
import { judgeExit, type ToolPhase } from '../../src/tool/judge-exit.ts'
import { mariadbBackupGrammar } from '../../src/tool/mariadb-backup-grammar.ts'
import { xtrabackupGrammar } from '../../src/tool/xtrabackup-grammar.ts'
import { eventsOf, only } from './transcripts.ts'

/** Lines of mariadb-backup 10.11 on a disk, with limits and libraries that fail, and of the same faults elsewhere. */
const FAULTS: readonly (readonly [ErrorCode, string])[] = [
  ['io_error', `mariadb-backup: Can't sync file './aria_log_control' to disk (Errcode: 5 "Input/output error")`],
  ['io_error', 'xbstream: write error: OS errno 5 - Input/output error'],
  ['read_only', `mbstream: Can't create/write to file './app/t1.ibd' (Errcode: 30 "Read-only file system")`],
  ['open_files', '2026-11-27 17:45:45 0 [ERROR] InnoDB: Operating system error number 24 in a file operation.'],
  ['memory', '2026-11-27 17:45:45 0 [ERROR] InnoDB: Cannot map innodb_buffer_pool_size_max=8388608m'],
  ['memory', 'InnoDB: Cannot allocate memory for the buffer pool'],
  ['file_size_limit', `mbstream: Error writing file './ibdata1' (Errcode: 27 "File too large")`],
  ['tool_broken', 'mbstream: error while loading shared libraries: libssl.so.3: cannot open shared object file'],
  ['key_missing', '[ERROR] InnoDB: Obtaining redo log encryption key version 1 failed (4294967295).'],
  ['key_missing', `mariadb-backup: Can't open shared library '/x/file_key_management.so' (errno: 2, No such file)`],
  ['key_missing', "[ERROR] [MY-012657] [InnoDB] Encryption can't find master key, please check the keyring is loaded."],
  ['not_permitted', `mbstream: Can't create directory './app' (Errcode: 13 "Permission denied")`],
  ['disk_full', `mbstream: Error writing file './ibdata1' (Errcode: 122 "Disk quota exceeded")`],
]

const AFTERWARDS = '[ERROR] InnoDB: Database page corruption on disk or a failed read of file ./app/t1.ibd'

describe('a fault of this machine', () => {
  test.each(FAULTS)('%s: %s', (code, line) => {
    expect(environmentFault(line)).toBe(code)
    expect(ERRORS[code].backup).toBe(false)
    for (const grammar of [extractGrammar(), mariadbBackupGrammar(), xtrabackupGrammar()]) {
      const failures = only(eventsOf(grammar, `${line}\n${AFTERWARDS}\n`), 'failure')
      const ended = { program: 'tool', phase: 'prepare' as const, failures, saidCompletedOk: false }
      expect(judgeExit({ ...ended, exit: { code: 1, signal: null } })?.code).toBe(code)
    }
  })

  test('in a filter too', () => {
    const [event] = filterGrammar()('zstd: error 70 : Write error : cannot write block : Input/output error', true)
    expect(event).toMatchObject({ type: 'failure', code: 'io_error' })
  })

  test('as a warning is not the cause: the tool gets around it', () => {
    const said = `[Warning] mariadbd: io_uring_queue_init() failed with ENOMEM: Cannot allocate memory\n${AFTERWARDS}\n`
    expect(only(eventsOf(mariadbBackupGrammar(), said), 'failure').map(({ code }) => code)).toEqual(['source_corrupt'])
  })
})

const PHASES: readonly ToolPhase[] = ['extract', 'decompress', 'prepare', 'move_back']

test.each([
  ['SIGILL', 'tool_broken'],
  ['SIGXFSZ', 'file_size_limit'],
] as const)('%s: %s', (signal, code) => {
  for (const phase of PHASES)
    expect(
      judgeExit({ program: 'tool', phase, exit: { code: null, signal }, failures: [], saidCompletedOk: false })?.code,
    ).toBe(code)
})

test.each([126, 127])('a program that cannot be executed, exit %d: tool_broken', code => {
  for (const phase of PHASES)
    expect(
      judgeExit({ program: 'tool', phase, exit: { code, signal: null }, failures: [], saidCompletedOk: false })?.code,
    ).toBe('tool_broken')
})

test('whatever else a tool ends with is no evidence against the backup', () => {
  for (const phase of PHASES)
    for (const exit of [1, 2, 3, 70, 125, 255].map(code => ({ code, signal: null }))) {
      const judged = judgeExit({ program: 'tool', phase, exit, failures: [], saidCompletedOk: false })!
      expect(ERRORS[judged.code].backup).toBe(false)
    }
})
