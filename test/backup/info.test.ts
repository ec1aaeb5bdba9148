import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseBinlogInfo, parseBinlogPos } from '../../src/backup/binlog-info.ts'
import { familyOfInfo, isPrepared } from '../../src/backup/family.ts'
import { parseInfo } from '../../src/backup/info.ts'
import { thrownBy } from '../support/thrown-by.ts'

const transcript = (path: string): string =>
  readFileSync(new URL(`../fixtures/transcripts/${path}`, import.meta.url), 'utf8')

const PERCONA_84 = `uuid = 122a291d-48b0-11f1-9d76-047bcbcb6b7e
name =
tool_name = xtrabackup
tool_command = --backup --no-defaults --user=root --target-dir=/backup
tool_version = 8.4.0-6
server_version = 8.4.8-8
server_flavor = Percona Server (GPL), Release 8, Revision 1c288264
start_time = 2026-05-05 19:27:26
end_time = 2026-05-05 19:27:28
lock_time = 0
binlog_pos = filename 'binlog.000002', position '158', GTID of the last change '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,
4f22fa47-71ca-11e1-9e33-c80aa9429562:1-7:9,
5a33fa47-71ca-11e1-9e33-c80aa9429562:1'
innodb_from_lsn = 0
innodb_to_lsn = 24785178
partial = N
incremental = N
format = xbstream
compressed = compressed
encrypted = N
lock_ddl_type = ON
backup_size = 1832398
uncompressed_backup_size = 88689148
`

describe('parseInfo', () => {
  test('MariaDB 10.11, as captured', () => {
    expect(parseInfo(transcript('mariadb/big-64m/xtrabackup_info'), 'f')).toEqual({
      uuid: '2ea65236-e704-11f1-b5f8-02fc00000001',
      toolName: 'mariadb-backup',
      toolVersion: '10.11.19-MariaDB',
      serverVersion: '10.11.19-MariaDB-0+deb12u1-log',
      startTime: '2026-11-23 06:05:13',
      endTime: '2026-11-23 06:07:37',
      binlog: { file: 'binlog.000002', position: 973296432, gtid: '0-1-136292' },
      fromLsn: 0,
      toLsn: 2642320498,
      partial: false,
      incremental: false,
      format: 'mbstream',
      compressed: false,
      encrypted: null,
      backupBytes: null,
      uncompressedBytes: null,
    })
  })

  test('Percona 8.4.0-6: sizes, compression, and a GTID set over three lines', () => {
    expect(parseInfo(PERCONA_84, 'f')).toMatchObject({
      toolName: 'xtrabackup',
      toolVersion: '8.4.0-6',
      binlog: {
        file: 'binlog.000002',
        position: 158,
        gtid:
          '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4f22fa47-71ca-11e1-9e33-c80aa9429562:1-7:9,' +
          '5a33fa47-71ca-11e1-9e33-c80aa9429562:1',
      },
      toLsn: 24785178,
      compressed: true,
      encrypted: false,
      backupBytes: 1832398,
      uncompressedBytes: 88689148,
    })
  })

  test('an empty file is incomplete, a wrong number is corrupt and has its line', () => {
    expect(thrownBy(() => parseInfo('\n', 'f')).code).toBe('backup_incomplete')
    const error = thrownBy(() => parseInfo(PERCONA_84.replace('24785178', 'x'), 'b/xtrabackup_info'))
    expect([error.code, error.message]).toEqual([
      'source_corrupt',
      'b/xtrabackup_info:15 innodb_to_lsn is not a number: "x"',
    ])
  })
})

describe('parseBinlogPos', () => {
  test.each([
    ["filename 'binlog.000012', position '157'", { file: 'binlog.000012', position: 157, gtid: null }],
    ['filename binlog.000012, position 157', { file: 'binlog.000012', position: 157, gtid: null }],
    ["GTID of the last change 'a:1-5'", { file: null, position: null, gtid: 'a:1-5' }],
    ["filename 'b.1', position '4', GTID of the last change ''", { file: 'b.1', position: 4, gtid: null }],
    ['', null],
  ])('%s', (text, expected) => {
    expect(parseBinlogPos(text)).toEqual(expected)
  })
})

describe('parseBinlogInfo', () => {
  test.each([
    ['binlog.000002\t571419580\t0-1-109902\n', { file: 'binlog.000002', position: 571419580, gtid: '0-1-109902' }],
    ['binlog.000012\t157\n', { file: 'binlog.000012', position: 157, gtid: null }],
    ['b.12\t157\ta:1-5,\nb:1-7:9,\nc:1\n', { file: 'b.12', position: 157, gtid: 'a:1-5,b:1-7:9,c:1' }],
    ['b.1\t99\t[]\nb.2\t157\t0-1-2\n', { file: 'b.2', position: 157, gtid: '0-1-2' }],
    ['', null],
  ])('%j', (text, expected) => {
    expect(parseBinlogInfo(text, 'f')).toEqual(expected)
  })

  test.each(['garbage\n', 'b.1\t12\nmore\n', 'b.1\tx\n'])('%j is corrupt', text => {
    expect(thrownBy(() => parseBinlogInfo(text, 'f')).code).toBe('source_corrupt')
  })
})

describe('family', () => {
  const info = (toolName: string | null, toolVersion: string | null) =>
    familyOfInfo({ ...parseInfo(PERCONA_84, 'f'), toolName, toolVersion })
  test.each([
    ['mariadb-backup', '10.11.19-MariaDB', 'mariadb-backup'],
    ['mariabackup', null, 'mariadb-backup'],
    ['xtrabackup', '8.0.35-31', 'xtrabackup'],
    ['innobackupex', '2.4.29', 'xtrabackup'],
    ['innobackupex', '10.1.48-MariaDB', 'mariadb-backup'],
    ['my-wrapper', '1.0', null],
    [null, null, null],
  ])('%s %s is %s', (toolName, toolVersion, family) => {
    expect(info(toolName, toolVersion)).toBe(family)
  })

  test('log-applied is the end for MariaDB and the middle for xtrabackup', () => {
    expect(isPrepared('mariadb-backup', 'log-applied')).toBe(true)
    expect(isPrepared('xtrabackup', 'log-applied')).toBe(false)
    expect(isPrepared('xtrabackup', 'full-prepared')).toBe(true)
    expect(isPrepared('mariadb-backup', 'full-backuped')).toBe(false)
    expect(isPrepared(null, 'log-applied')).toBe(false)
  })
})
