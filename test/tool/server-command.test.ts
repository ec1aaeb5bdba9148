import { describe, expect, test } from 'vitest'
import {
  applyServerCommand,
  enginePlugins,
  isServerOf,
  serverCommand,
  serverMisfit,
  serverSettings,
} from '../../src/tool/server-command.ts'
import { lowerCaseOfDictionary } from '../../src/tool/server-grammar.ts'

const MYSQL_56 = 'mysqld  Ver 5.6.24 for linux-glibc2.5 on x86_64 (MySQL Community Server (GPL))'
const PERCONA_80 = 'mysqld  Ver 8.0.35-27 for Linux on x86_64 (Percona Server (GPL), Release 27)'
const MARIADB_1011 = 'mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)'

describe('a server may start on the data', () => {
  test('of its own family', () => {
    expect(isServerOf('xtrabackup', MYSQL_56)).toBe(true)
    expect(isServerOf('xtrabackup', PERCONA_80)).toBe(true)
    expect(isServerOf('xtrabackup', MARIADB_1011)).toBe(false)
    expect(isServerOf('mariadb-backup', MARIADB_1011)).toBe(true)
    expect(isServerOf('mariadb-backup', MYSQL_56)).toBe(false)
    expect(isServerOf('xtrabackup', 'not a server')).toBe(false)
  })

  test.each([
    [MYSQL_56, '5.6.24-log', null],
    [MYSQL_56, '5.6.10', null],
    [MYSQL_56, '5.7.44', /does not read the files of a 5\.7/],
    [MYSQL_56, null, null],
    [PERCONA_80, '8.0.30', null],
    [PERCONA_80, '8.0.36', /does not read the files of the newer 8\.0\.36/],
    [PERCONA_80, '5.7.44', /would upgrade the files of a 5\.7/],
    [MARIADB_1011, '10.11.20-MariaDB', null],
    [MARIADB_1011, '10.6.4-MariaDB', /would upgrade the files of a 10\.6/],
    [MARIADB_1011, '11.8.1-MariaDB', /does not read/],
  ])('%s on %s: %s', (banner, data, says) => {
    const misfit = serverMisfit(banner, data)
    if (says === null) expect(misfit).toBeNull()
    else expect(misfit).toMatch(says)
  })
})

test('both private servers have no network and no binlog; only the one that applies reads grant tables', () => {
  const base = { program: '/mariadbd', datadir: '/d', directory: '/run/x', settings: ['--innodb-page-size=4096'] }
  const check = serverCommand(base).args
  const apply = applyServerCommand({ ...base, relayDir: '/r', threads: 4, bufferPoolBytes: 1024 }).args
  for (const args of [check, apply]) {
    expect(args[0]).toBe('--no-defaults')
    expect(args).toEqual(expect.arrayContaining(['--skip-networking', '--skip-log-bin', '--loose-skip-slave-start']))
    expect(args).toContain('--innodb-page-size=4096')
  }
  expect(check).toEqual(expect.arrayContaining(['--skip-grant-tables', '--loose-event-scheduler=DISABLED']))
  expect(apply.join()).not.toMatch(/skip-grant|DISABLED/)
  expect(apply).toEqual(expect.arrayContaining(['--event-scheduler=OFF', '--init-file=/run/x/init.sql']))
})

describe('what a server is told of backup-my.cnf', () => {
  test('is how the files are laid out', () => {
    const config = `[mysqld]
innodb_checksum_algorithm=crc32
innodb_data_file_path=ibdata1:12M;ibdata2:10M:autoextend
innodb_log_files_in_group=2
innodb_log_file_size = 25165824
innodb_page_size=4096
innodb_undo_tablespaces=3
lower_case_table_names=1
server_id=7
`
    expect(serverSettings(config)).toEqual([
      '--loose-innodb-checksum-algorithm=crc32',
      '--innodb-data-file-path=ibdata1:12M;ibdata2:10M:autoextend',
      '--loose-innodb-log-files-in-group=2',
      '--loose-innodb-log-file-size=25165824',
      '--innodb-page-size=4096',
      '--loose-innodb-undo-tablespaces=3',
      '--lower-case-table-names=1',
    ])
  })

  test('is not the empty redo log of 12 KiB that MariaDB’s prepare leaves', () => {
    expect(serverSettings('innodb_log_file_size=12288')).toEqual([])
  })

  test('is encryption by a plugin of that name, from the server’s own directory', () => {
    const config = `plugin_load=file_key_management=file_key_management.so
plugin-load="evil.so;keyring_file.so"
file_key_management_filename=/etc/mysql/keys
file_key_management_encryption_algorithm=aes_ctr
`
    expect(serverSettings(config)).toEqual([
      '--plugin-load-add=file_key_management',
      '--early-plugin-load=keyring_file.so',
      '--loose-file-key-management-filename=/etc/mysql/keys',
      '--loose-file-key-management-encryption-algorithm=aes_ctr',
    ])
  })

  test.each([
    'plugin_dir=/backups/evil',
    'plugin_load=evil.so',
    'plugin_load=../../file_key_management.so',
    'init_file=/etc/passwd',
    'innodb_data_file_path=../../etc/x:10M',
    'innodb_data_file_path=/etc/x:10M',
    'innodb_undo_directory=/etc',
    'datadir=/etc',
    'innodb_page_size=4096 --init-file=x',
    'constructor=1',
  ])('is never %s', line => {
    expect(serverSettings(`[mysqld]\n${line}\n`)).toEqual([])
  })
})

test('plugins of engines are loaded where the data need them and they are installed', () => {
  const none = { hasArchive: false, hasRocksDb: false }
  const installed = ['provider_lz4.so', 'ha_archive.so', 'ha_rocksdb.so', 'auth_pam.so']
  expect(enginePlugins(none, installed)).toEqual(['--plugin-load-add=provider_lz4'])
  expect(enginePlugins({ hasArchive: true, hasRocksDb: true }, installed)).toEqual([
    '--plugin-load-add=provider_lz4',
    '--plugin-load-add=ha_archive',
    '--plugin-load-add=ha_rocksdb',
  ])
  expect(enginePlugins({ hasArchive: true, hasRocksDb: true }, [])).toEqual([])
})

test('MySQL 8 says which lower_case_table_names its data have', () => {
  const line =
    "2026-01-15T03:00:00.941000Z 1 [ERROR] [MY-011087] [Server] Different lower_case_table_names settings for server ('0') and data dictionary ('1')."
  expect(lowerCaseOfDictionary(['other', line])).toBe('1')
  expect(lowerCaseOfDictionary(['other'])).toBeNull()
})
