import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseCheckpoints } from '../../src/backup/checkpoints.ts'
import { thrownBy } from '../support/thrown-by.ts'

const FULL = 'backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 27517178\nlast_lsn = 30394287\n'

describe('parseCheckpoints', () => {
  test('xtrabackup 8.0 with estimation', () => {
    const text = `${FULL}flushed_lsn = 4420604774\nredo_memory = 3421503488\nredo_frames = 59277\n`
    expect(parseCheckpoints(text, 'f')).toEqual({
      backupType: 'full-backuped',
      fromLsn: 0,
      toLsn: 27517178,
      lastLsn: 30394287,
      flushedLsn: 4420604774,
      redoMemoryBytes: 3421503488,
      redoFrames: 59277,
    })
  })

  test('a zero estimate is none; MariaDB has no such keys', () => {
    const without = { flushedLsn: null, redoMemoryBytes: null, redoFrames: null }
    expect(parseCheckpoints(`${FULL}redo_memory = 0\nredo_frames = 0\n`, 'f')).toMatchObject(without)
    expect(parseCheckpoints(`${FULL}recover_binlog_info = 0\n`, 'f')).toMatchObject(without)
  })

  test.each([
    ['', 'backup_incomplete', 'b/xtrabackup_checkpoints:1 is empty'],
    [
      'backup_type = incremental\nfrom_lsn = 4\n',
      'backup_incomplete',
      'b/xtrabackup_checkpoints:2 ends without to_lsn',
    ],
    ['\0\0\0\0', 'source_corrupt', 'b/xtrabackup_checkpoints:1 is not'],
    [FULL.replace('27517178', '2751x178'), 'source_corrupt', 'b/xtrabackup_checkpoints:3 to_lsn is not a number'],
    [FULL.replace('30394287', '-1'), 'source_corrupt', 'b/xtrabackup_checkpoints:4 last_lsn'],
    [FULL.replace('30394287', '9007199254740993'), 'source_corrupt', 'b/xtrabackup_checkpoints:4 last_lsn'],
  ])('%j throws %s', (text, code, message) => {
    const error = thrownBy(() => parseCheckpoints(text, 'b/xtrabackup_checkpoints'))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  test('what it reads is what was written, in any order and with either line ending', () => {
    const lsn = fc.maxSafeNat()
    fc.assert(
      fc.property(lsn, lsn, lsn, fc.constantFrom('\n', '\r\n'), fc.boolean(), (from, to, last, eol, reversed) => {
        const lines = ['backup_type = incremental', `from_lsn = ${from}`, `to_lsn = ${to}`, `last_lsn = ${last}`]
        const read = parseCheckpoints((reversed ? lines.reverse() : lines).join(eol), 'f')
        expect(read).toMatchObject({ backupType: 'incremental', fromLsn: from, toLsn: to, lastLsn: last })
      }),
    )
  })

  test('no text makes it throw anything but the two codes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map(tail => FULL + tail),
        ),
        text => {
          try {
            parseCheckpoints(text, 'f')
          } catch (thrown) {
            expect(['backup_incomplete', 'source_corrupt']).toContain((thrown as { code: string }).code)
          }
        },
      ),
    )
  })
})
