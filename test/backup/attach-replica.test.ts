import { expect, test } from 'vitest'
import { attachReplica, type ReplicaPoint } from '../../src/backup/attach-replica.ts'

const point: ReplicaPoint = {
  serverVersion: '10.11.19-MariaDB-log',
  isMariadb: true,
  binlog: { file: 'bin.000002', position: 599, gtid: '0-1-4' },
  replica: null,
  galera: null,
}
const mysql = (serverVersion: string): ReplicaPoint => ({
  ...point,
  serverVersion,
  isMariadb: false,
  binlog: { file: 'bin.000002', position: 599, gtid: '1eef6886-e592-11e4-a12f-84a6c8c6729e:1-2942' },
})
const master = "MASTER_HOST = 'HOST', MASTER_USER = 'USER', MASTER_PASSWORD = 'PASSWORD'"
const source = master.replaceAll('MASTER', 'SOURCE')

test('by GTID, in the words of the server', () => {
  expect(attachReplica(point)).toBe(
    `SET GLOBAL gtid_slave_pos = '0-1-4'; CHANGE MASTER TO ${master}, MASTER_USE_GTID = slave_pos; START SLAVE`,
  )
  const purged = "SET GLOBAL gtid_purged = '1eef6886-e592-11e4-a12f-84a6c8c6729e:1-2942'"
  expect(attachReplica(mysql('5.7.44-log'))).toBe(
    `RESET MASTER; ${purged}; CHANGE MASTER TO ${master}, MASTER_AUTO_POSITION = 1; START SLAVE`,
  )
  expect(attachReplica(mysql('8.0.36'))).toBe(
    `RESET MASTER; ${purged}; CHANGE REPLICATION SOURCE TO ${source}, SOURCE_AUTO_POSITION = 1; START REPLICA`,
  )
  expect(attachReplica(mysql('8.4.2'))).toMatch(/^RESET BINARY LOGS AND GTIDS; /)
})

test('by file and position without a GTID, and by the GTID of a Galera node', () => {
  const binlog = { file: 'bin.000002', position: 599, gtid: null }
  expect(attachReplica({ ...point, binlog })).toBe(
    `CHANGE MASTER TO ${master}, MASTER_LOG_FILE = 'bin.000002', MASTER_LOG_POS = 599; START SLAVE`,
  )
  expect(attachReplica({ ...point, binlog: null })).toBeNull()
  expect(attachReplica({ ...point, binlog: null, galera: '6f0f901c-e766-11f1-92da-02fc00000001:1234' })).toBeNull()
  expect(
    attachReplica({ ...point, binlog: null, galera: '6f0f901c-e766-11f1-92da-02fc00000001:1234 0-1-17' }),
  ).toContain("gtid_slave_pos = '0-1-17'")
})

test('of a replica: the point in its source, as slave_info has it', () => {
  const replica = "CHANGE MASTER TO MASTER_LOG_FILE='bin.000007', MASTER_LOG_POS=481;"
  expect(attachReplica({ ...point, replica })).toBe(
    `CHANGE MASTER TO ${master}, MASTER_LOG_FILE='bin.000007', MASTER_LOG_POS=481; START SLAVE`,
  )
  const purged = "SET GLOBAL gtid_purged='a:1-5'; CHANGE MASTER TO MASTER_AUTO_POSITION=1"
  expect(attachReplica({ ...mysql('8.4.0'), replica: purged })).toBe(
    `SET GLOBAL gtid_purged='a:1-5'; CHANGE REPLICATION SOURCE TO ${source}, SOURCE_AUTO_POSITION=1; START REPLICA`,
  )
  for (const hostile of [
    'something else',
    "DROP DATABASE d; CHANGE MASTER TO MASTER_LOG_FILE='b.000001', MASTER_LOG_POS=4",
    "CHANGE MASTER TO MASTER_LOG_FILE='b.000001', MASTER_LOG_POS=4; DROP DATABASE d",
  ])
    expect(attachReplica({ ...point, replica: hostile })).toBeNull()
})

test('what would end the quotes gives no statement', () => {
  expect(
    attachReplica({ ...point, binlog: { file: null, position: null, gtid: "0-1-4'; DROP TABLE t; --" } }),
  ).toBeNull()
  expect(attachReplica({ ...point, binlog: { file: "x'; DROP TABLE t; --", position: 4, gtid: null } })).toBeNull()
})
