import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import type { RestoreOptions } from '../../../src/config/options.ts'
import { lookAtBinlogs, planBinlogs, positionOf } from '../../../src/restore/plan/binlogs.ts'
import { sampleParts } from '../../support/samples.ts'
import { scratch } from '../../support/scratch.ts'

const REAL = join(import.meta.dirname, '../../fixtures/binlogs/mariadb-10.11')
const NEVER = new AbortController().signal
const POSITION = 'bin.000002\t902\t0-1-9\n'

let folder: string
let binlogs: string
let extracted: string
beforeEach(() => {
  folder = scratch()
  binlogs = join(folder, 'binlogs')
  extracted = join(folder, 'extracted')
  mkdirSync(binlogs)
  mkdirSync(extracted)
  for (const name of readdirSync(REAL)) copyFileSync(join(REAL, name), join(binlogs, name))
  writeFileSync(join(extracted, 'xtrabackup_binlog_info'), POSITION)
})

const parts = (options: Partial<RestoreOptions> = {}, source: 'file' | 'directory' = 'file') =>
  sampleParts({
    options: { binlogs: { kind: 'path', path: binlogs }, datadir: join(folder, 'data'), ...options },
    elements: [{ source: { kind: source, path: source === 'file' ? '/b.xb' : extracted } }],
  })

test('a stream: its binlogs are read before the extract, and where to begin is known after it', async () => {
  const look = await lookAtBinlogs(parts(), NEVER)
  expect(look).toMatchObject({ plan: null, scan: { stop: { file: 'bin.000004', position: 1579 } } })
  const expected = {
    start: { file: 'bin.000002', position: 902, gtid: '0-1-9' },
    stop: { file: 'bin.000004', position: 1579, gtid: '0-1-24,7-1-1' },
    transactions: 16,
  }
  expect(await planBinlogs({ ...parts(), look }, extracted, NEVER)).toMatchObject(expected)
  // An agent that takes over has not seen them.
  expect(await planBinlogs({ ...parts(), look: null }, extracted, NEVER)).toMatchObject(expected)
})

test('a directory: all is planned at once, and binlogs older than the backup are not read', async () => {
  writeFileSync(join(binlogs, 'bin.000001'), Buffer.concat([Buffer.from('\xfebin', 'latin1'), Buffer.alloc(300, 7)]))
  await expect(lookAtBinlogs(parts({}, 'directory'), NEVER)).rejects.toMatchObject({ code: 'binlog_damaged' })
  copyFileSync(join(REAL, 'bin.000001'), join(binlogs, 'bin.000001'))
  const bytes = execFileSync('head', ['-c', '500', join(REAL, 'bin.000001')])
  bytes[450] = bytes[450]! ^ 1
  writeFileSync(join(binlogs, 'bin.000001'), bytes)
  expect((await lookAtBinlogs(parts({}, 'directory'), NEVER)).plan).toMatchObject({ transactions: 16 })
  // Of a stream nothing tells that the first one is not needed.
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({ code: 'binlog_damaged' })
})

test('compressed binlogs, under whatever names', async () => {
  execFileSync('zstd', ['-q', '--rm', join(binlogs, 'bin.000002')])
  execFileSync('gzip', [join(binlogs, 'bin.000003')])
  execFileSync('lz4', ['-q', '--rm', join(binlogs, 'bin.000004'), join(binlogs, 'bin.000004.lz4')])
  expect(await planBinlogs({ ...parts(), look: null }, extracted, NEVER)).toMatchObject({ transactions: 16 })
  writeFileSync(join(binlogs, 'bin.000003.gz'), Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]))
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({ code: 'binlog_damaged' })
  rmSync(binlogs, { recursive: true })
  mkdirSync(binlogs)
  for (const [index, name] of ['d', 'a', 'c', 'b'].entries())
    copyFileSync(join(REAL, `bin.00000${index + 1}`), join(binlogs, name))
  expect(await planBinlogs({ ...parts(), look: null }, extracted, NEVER)).toMatchObject({ transactions: 16 })
})

test('a hole, binlogs of another family and binlogs in InnoDB are refused before the extract', async () => {
  renameSync(join(binlogs, 'bin.000003'), join(folder, 'away'))
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({
    code: 'binlog_gap',
    message: 'transactions between bin.000002 and bin.000004 are missing: 0-1-18,0-2-20,7-1-1',
  })
  renameSync(join(folder, 'away'), join(binlogs, 'bin.000003'))
  const mysql = sampleParts({ options: parts().options, tool: 'xtrabackup' })
  const [element] = mysql.elements
  const ofMysql = { ...element!, description: { ...element!.description, serverVersion: '8.0.36' } }
  await expect(lookAtBinlogs({ ...mysql, elements: [ofMysql] }, NEVER)).rejects.toMatchObject({
    code: 'binlog_foreign',
  })
  writeFileSync(join(binlogs, 'binlog-000000.ibb'), 'x')
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({ code: 'binlog_unsupported' })
  rmSync(binlogs, { recursive: true })
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({ code: 'source_missing' })
  mkdirSync(binlogs)
  await expect(lookAtBinlogs(parts(), NEVER)).rejects.toMatchObject({ code: 'binlog_gap' })
})

test('metadata files that disagree on the position are refused; what one does not tell is no disagreement', () => {
  const info = (position: string) =>
    writeFileSync(join(extracted, 'xtrabackup_info'), `uuid = 1\nbinlog_pos = ${position}\n`)
  info("filename 'bin.000002', position '902', GTID of the last change '0-1-9'")
  expect(positionOf(extracted)).toEqual({ file: 'bin.000002', position: 902, gtid: '0-1-9' })
  info("filename 'bin.000002', position '902'")
  expect(positionOf(extracted)).toEqual({ file: 'bin.000002', position: 902, gtid: '0-1-9' })
  info("filename 'bin.000002', position '902', GTID of the last change '0-1-12'")
  expect(() => positionOf(extracted)).toThrow(expect.objectContaining({ code: 'binlog_position_conflict' }))
  info("filename 'bin.000003', position '902'")
  expect(() => positionOf(extracted)).toThrow(expect.objectContaining({ code: 'binlog_position_conflict' }))
  rmSync(join(extracted, 'xtrabackup_binlog_info'))
  rmSync(join(extracted, 'xtrabackup_info'))
  expect(positionOf(extracted)).toBeNull()
})

test('a cancelled restore stops reading', async () => {
  const controller = new AbortController()
  controller.abort(new Error('cancelled'))
  await expect(lookAtBinlogs(parts(), controller.signal)).rejects.toThrow('cancelled')
})
