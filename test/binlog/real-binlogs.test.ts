import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gtidText } from '../../src/binlog/gtid.ts'
import { createBinlogReader, type Group } from '../../src/binlog/reader.ts'
import { planRecovery } from '../../src/binlog/recovery-plan.ts'
import { readHeads, scanBinlogs } from '../../src/binlog/scan.ts'
import { sourcesOf } from './binlog-writer.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/binlogs')
const mariadb = readdirSync(join(FIXTURES, 'mariadb-10.11')).filter(name => name.startsWith('bin.'))
const bytesOf = (path: string): Buffer => readFileSync(join(FIXTURES, path))

function read(bytes: Buffer, chunkBytes: number) {
  const groups: Group[] = []
  const reader = createBinlogReader(group => groups.push(group))
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.push(bytes.subarray(at, at + chunkBytes))
  return { groups, damage: reader.damage(), summary: reader.summary() }
}

test('MariaDB 10.11: the groups are those of mariadb-binlog, at its offsets', () => {
  const truth = bytesOf('mariadb-10.11/truth.txt').toString().trim().split('\n')
  const found = mariadb.flatMap(name =>
    read(bytesOf(`mariadb-10.11/${name}`), 1 << 20).groups.map(
      ({ start, gtid }) => `${name} ${start} ${gtidText(gtid!)}`,
    ),
  )
  expect(found).toEqual(truth)
})

test('MySQL 5.6: each group has the next GTID, and the file ends as the server left it', () => {
  const { groups, damage, summary } = read(bytesOf('mysql-5.6/binlog.000001'), 1 << 20)
  expect(damage).toBeNull()
  expect(groups.map(({ gtid }) => gtid!.number)).toEqual(groups.map((_, index) => index + 1))
  expect(new Set(groups.map(({ gtid }) => gtid!.stream))).toEqual(new Set(['1eef6886-e592-11e4-a12f-84a6c8c6729e']))
  expect(summary).toMatchObject({ ending: 'cut', groups: 150, tailBytes: 7, format: { serverVersion: '5.6.24-log' } })
})

test.each([1, 2, 7, 19, 20, 64, 1000])('chunks of %i bytes give the same groups', chunkBytes => {
  for (const path of ['mysql-5.6/binlog.000001', ...mariadb.map(name => `mariadb-10.11/${name}`)]) {
    const bytes = bytesOf(path).subarray(0, 8000)
    expect(read(bytes, chunkBytes)).toEqual(read(bytes, 1 << 20))
  }
})

test('MariaDB 10.11: a plan over all files ends in the state that the server had, in whatever order they come', async () => {
  const sources = sourcesOf(mariadb.map(name => ({ name, bytes: bytesOf(`mariadb-10.11/${name}`) })))
  const heads = await readHeads([...sources].reverse(), null)
  expect(heads.map(({ source }) => source.name)).toEqual(mariadb)
  const scan = await scanBinlogs(heads, { kind: 'end' })
  const plan = await planRecovery(heads, scan, { kind: 'end' }, { file: 'bin.000001', position: 322, gtid: '' })
  const [, state] = /\n(\S+)\t(\S+)\n$/.exec(bytesOf('mariadb-10.11/server.txt').toString())!.slice(1)
  expect(plan).toMatchObject({
    start: { file: 'bin.000001', position: 322, gtid: '' },
    stop: { file: 'bin.000004', gtid: state },
    transactions: 25,
    // XA 'three' is prepared and never ended; 'two' was prepared in one file and rolled back in the next.
    xaPrepared: ["X'7468726565',X'00ff',7"],
    xaEnded: [],
    checksums: true,
    notices: [],
  })
  const later = await planRecovery(heads, scan, { kind: 'end' }, { file: 'bin.000003', position: 4, gtid: '0-1-15' })
  expect(later).toMatchObject({ start: { file: 'bin.000003', gtid: '0-1-15' }, xaEnded: ["X'74776f',X'',1"] })
})
