import { expect, test } from 'vitest'
import type { Exit } from '../../src/process/tool-exit.ts'
import { judgeServer } from '../../src/restore/steps/private-server.ts'
import { applyGrammar, serverGrammar } from '../../src/tool/server-grammar.ts'
import { eventsOf, only } from './transcripts.ts'

/* Each provoked on a mariadbd 10.11, with every line but its notes. */

const GENERIC = `[Warning] Could not increase number of max_open_files to more than 20000 (request: 32184)
[ERROR] InnoDB: Plugin initialization aborted with error Generic error
[ERROR] Plugin 'InnoDB' registration as a STORAGE ENGINE failed.
[ERROR] Unknown/unsupported storage engine: InnoDB
[ERROR] Aborting`

function verdict(said: string, exit: Exit = { code: 1, signal: null }) {
  const stderr = said.replace(/^/gm, '2026-11-23 22:15:46 0 ')
  const failures = only(eventsOf(serverGrammar(), stderr), 'failure')
  return (
    judgeServer([{ program: 'mariadbd', exit, failures, complaints: [], saidCompletedOk: false, lastWords: [] }])
      ?.code ?? null
  )
}

test.each([
  ['a datadir that its user cannot reach', `mariadbd: Can't change dir to '/a/b/' (Errcode: 13 "Permission denied")`],
  [
    'one that its user cannot write',
    `mariadbd: Can't create/write to file './ddl_recovery.log' (Errcode: 13 "Permission denied")`,
  ],
  ['another server on the files', `InnoDB: Unable to lock ./ibdata1 error: 11\n${GENERIC}`],
  ['no memory', `mariadbd: Out of memory (Needed 0 bytes)\n${GENERIC}`],
  ['no more descriptors', `InnoDB: Operating system error number 24 in a file operation.\n${GENERIC}`],
  [
    'a server of another version',
    `InnoDB: Unsupported redo log format. The redo log was created with MariaDB 11.8.\n${GENERIC}`,
  ],
  ['an option that it does not know', `mariadbd: unknown variable 'innodb_x=1'`],
  ['keys that it was not told', `InnoDB: Obtaining redo log encryption key version 1 failed (4294967295).\n${GENERIC}`],
  ['nothing that is known', `Failed to initialize plugins.`],
  ['an engine that gives no reason', GENERIC],
  ['an assertion without a word of damage', `InnoDB: Assertion failure in file srv0start.cc line 100\n${GENERIC}`],
])('%s does not speak against the backup: server_failed', (_, said) => {
  expect(verdict(said.replace(/^(?!\[)/gm, '[ERROR] '))).toBe('server_failed')
})

test.each([
  ['a foreign system tablespace', `[ERROR] InnoDB: Inconsistent tablespace ID in ./ibdata1\n${GENERIC}`],
  ['a broken redo log', `[ERROR] InnoDB: Invalid log header checksum\n${GENERIC}`],
  [
    'a broken Aria control file',
    `[ERROR] mariadbd: Got error 'File size bigger than expected' when trying to use aria control file '/d/aria_log_control'`,
  ],
])('%s does: start_check_failed', (_, said) => {
  expect(verdict(said)).toBe('start_check_failed')
})

test('a full disk explains all others; a server that ends in order, or is killed, is judged by that', () => {
  const said = `[ERROR] InnoDB: Error number 28 means 'No space left on device'\n${GENERIC}`
  expect(verdict(said)).toBe('disk_full')
  expect(verdict(said, { code: 0, signal: null })).toBeNull()
  expect(verdict(said, { code: null, signal: 'SIGKILL' })).toBe('tool_killed')
})

/* A mariadbd 10.11.19 that applies relay logs. */

const INITIALIZED =
  "2026-11-27 22:20:20 4 [Note] Slave SQL thread initialized, starting replication in log 'bin.000002' at position 1003, relay log '/r/relay-bin.000001' position: 1003"
const REACHED =
  '2026-11-27 22:20:23 4 [Note] Slave SQL thread stopped because it reached its UNTIL position 396 in /r/relay-bin.000007 relaylog file'
const EXITING =
  "2026-11-27 22:20:23 4 [Note] Slave SQL thread exiting, replication stopped in log 'bin.000008' at position 396, master: dummy:3306"

test('apply has reached its end only where the SQL thread says so before it exits', () => {
  const events = (...lines: string[]) => eventsOf(applyGrammar(), lines.join('\n'))
  expect(events(INITIALIZED, REACHED, EXITING)).toEqual([
    { type: 'apply_started' },
    { type: 'apply_ended', reached: true, position: 'bin.000008:396' },
  ])
  expect(events(INITIALIZED, EXITING)).toContainEqual({
    type: 'apply_ended',
    reached: false,
    position: 'bin.000008:396',
  })
})

test('a transaction that cannot be applied is named by table, file, position and GTID, without its passwords', () => {
  const duplicate =
    "2026-11-27 22:30:00 9 [ERROR] Slave SQL: Could not execute Write_rows_v1 event on table d.t1; Duplicate entry '5' for key 'PRIMARY', Error_code: 1062; handler error HA_ERR_FOUND_DUPP_KEY; the event's master log bin.000002, end_log_pos 1234, Gtid 0-1-50, Internal MariaDB error code: 1062"
  const user =
    "2026-11-27 22:11:55 8 [ERROR] Slave SQL: Error 'nothing' on query. Default database: ''. Query: 'create user u identified by 'x'', Gtid 0-1-4, Internal MariaDB error code: 1290"
  const [first, second] = only(eventsOf(applyGrammar(), `${duplicate}\n${user}`), 'failure')
  expect(first).toMatchObject({ code: 'binlog_apply_failed' })
  expect(first!.text).toMatch(/^Could not execute .* table d\.t1; .* bin\.000002, end_log_pos 1234, Gtid 0-1-50/)
  expect(second!.text).toMatch(/identified by \*\*\*, Gtid 0-1-4$/)
})

test('an init file that the server refuses ends apply; a full disk is none of the transaction’s faults', () => {
  const refused = 'ERROR: 1380  Failed initializing relay log position: Could not find target log'
  expect(eventsOf(applyGrammar(), refused)).toEqual([
    { type: 'failure', code: 'binlog_apply_failed', text: expect.stringContaining('Could not find target log') },
    { type: 'apply_ended', reached: false, position: null },
  ])
  const full = `2026-11-27 22:11:55 8 [ERROR] Slave SQL: Error writing file '/d/x' (Errcode: 28 "No space left on device"), Error_code: 3`
  expect(only(eventsOf(applyGrammar(), full), 'failure')[0]!.code).toBe('disk_full')
})
