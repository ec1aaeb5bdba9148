import { expect, test } from 'vitest'
import { NO_NAMES, withName } from '../../src/backup/name-facts.ts'

test.each([
  ['ib_logfile0', 'mariadb-backup'],
  ['aria_log_control', 'mariadb-backup'],
  ['mariadb_backup_info', 'mariadb-backup'],
  ['mysql/transaction_registry.ibd', 'mariadb-backup'],
  ['mysql/gtid_slave_pos.ibd.delta', 'mariadb-backup'],
  ['mysql/gtid_slave_pos.ibd.meta', 'mariadb-backup'],
  ['xtrabackup_logfile.zst', 'xtrabackup'],
  ['mysql.ibd.zst.xbcrypt', 'xtrabackup'],
  ['app/t1_323.sdi', 'xtrabackup'],
  ['mysql/innodb_table_stats.ibd', null],
  ['app/gtid_slave_pos.ibd', null],
  ['xtrabackup_info', null],
])('%s tells the family %s', (name, family) => {
  expect(withName(NO_NAMES, name).family).toBe(family)
})

test('the first name that tells decides', () => {
  const names = ['app/t1.ibd', 'mysql/transaction_registry.ibd', 'ibdata1']
  expect(names.reduce(withName, NO_NAMES)).toMatchObject({ family: 'mariadb-backup', kind: 'full' })
})
