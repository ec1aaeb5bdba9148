import { describe, expect, test } from 'vitest'
import { splitFileName } from '../../src/backup/file-name.ts'
import { foreignDirectory, foreignFormat } from '../../src/backup/foreign-format.ts'

function tar(first: string): Buffer {
  const block = Buffer.alloc(512)
  block.write(first, 0)
  block.write('ustar  ', 257)
  return block
}

describe('what is not restored is named by its first bytes', () => {
  test.each<[string, Buffer, RegExp, RegExp]>([
    ['x.tar', tar('ibdata1'), /^a tar archive$/, /tar -x/],
    ['x', tar('backup.cnf'), /BACKUP SERVER/, /mariadbd/],
    ['d.sql', Buffer.from('-- MariaDB dump 10.19  Distrib'), /SQL dump/, /client/],
    ['d', Buffer.from('/*M!999999\\- enable the sandbox mode */'), /SQL dump/, /client/],
    ['d', Buffer.from('\n\nCREATE TABLE t (a int)'), /SQL dump/, /client/],
    ['d', Buffer.from('age-encryption.org/v1\n-> X25519'), /age/, /age -d/],
    ['d', Buffer.from('-----BEGIN AGE ENCRYPTED FILE-----'), /age/, /age -d/],
    ['binlog-000001.ibb', Buffer.alloc(512), /\.ibb/, /backup/],
    ['binlog.000001', Buffer.from('fe62696e', 'hex'), /binary log/, /backup/],
    ['x.zip', Buffer.from('PK\x03\x04'), /zip/, /unzip/],
  ])('%s', (name, head, what, hint) => {
    expect(foreignFormat(head, name)).toEqual({ what: expect.stringMatching(what), hint: expect.stringMatching(hint) })
  })
  test('other bytes have no name', () => expect(foreignFormat(Buffer.from('hello world'), 'x.bin')).toBeNull())
})

describe('a directory without the metadata of a backup', () => {
  test.each<[string[], RegExp, RegExp]>([
    [['2026-11-20/xtrabackup_checkpoints', '2026-11-20/ibdata1'], /holds a backup/, /\/b\/2026-11-20$/],
    [['a/xtrabackup_checkpoints', 'b/mariadb_backup_checkpoints'], /holds 2 backups/, /\/b\/a, \/b\/b/],
    [['ibdata1', 'mysql/user.frm', 'app/t.ibd'], /data directory of a server/, /mariadb-backup/],
    [['full.xb.zst', 'notes.txt'], /backup streams/, /\/b\/full\.xb\.zst/],
    [['app.t.sql.gz', 'metadata'], /SQL dumps/, /client/],
    [['MANIFEST', 'backup.xbstream.gz'], /Vitess/, /vtbackup/],
    [['2026-11-20.1/MANIFEST', '2026-11-20.1/0'], /Vitess/, /vtbackup/],
    [['ib_0000000000003000.log', 'ibdata1'], /innodb_log_archive/, /MariaDB 13/],
    [['backup.cnf', 'ibdata1', 'mysql/db.MAI'], /BACKUP SERVER/, /backup\.cnf/],
    [['binlog-000001.ibb'], /\.ibb/, /backup/],
    [['all.tar.gz'], /tar archive/, /all\.tar\.gz/],
  ])('%j', (paths, what, hint) => {
    expect(foreignDirectory(paths, '/b')).toEqual({
      what: expect.stringMatching(what),
      hint: expect.stringMatching(hint),
    })
  })
})

test('a dump that lies beside a backup does not count as packed by the tool', () => {
  expect(splitFileName('schema.sql.zst')).toEqual({ base: 'schema.sql.zst', compression: null, encrypted: false })
  expect(splitFileName('app/t.ibd.zst')).toMatchObject({ compression: 'zst' })
})
