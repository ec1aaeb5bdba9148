import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Layout, layoutOf } from '../../../src/restore/steps/innodb-files.ts'
import { findMissing, partitionNames } from '../../../src/restore/steps/missing-tables.ts'
import { findShort } from '../../../src/restore/steps/tablespaces.ts'
import { SLACK_BYTES, verifyDatadir } from '../../../src/restore/steps/verify.ts'
import { scratch } from '../../support/scratch.ts'

/**
 * Which files of a datadir are called short, missing or left over. What real servers write is restored in
 * integration/whole.test.ts.
 */
const PAGE = 16384
const LAYOUT: Layout = { systemFiles: ['ibdata1'], pageBytes: PAGE }

/** A full_crc32 tablespace of so many pages by its header, and so many bytes in truth. */
function tablespace(path: string, pages: number, bytes = pages * PAGE): void {
  const header = Buffer.alloc(64)
  header.writeUInt16BE(8, 24)
  header.writeUInt32BE(pages, 46)
  header.writeUInt32BE(0x15, 54)
  put(path, header)
  truncateSync(path, bytes)
}

function put(path: string, content: Buffer | string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

function datadir(): string {
  const folder = scratch()
  tablespace(join(folder, 'ibdata1'), 768)
  return folder
}

const shortIn = async (folder: string, layout = LAYOUT) =>
  (await findShort(folder, layout, () => {})).map(({ name, bytes, expectedBytes }) => [name, bytes, expectedBytes])

describe('the layout', () => {
  test('is what backup-my.cnf says, else the server’s default', () => {
    const folder = scratch()
    put(join(folder, 'cnf'), '[mysqld]\ninnodb_data_file_path=system:12M;more:10M:autoextend\ninnodb_page_size=4096\n')
    put(join(folder, 'none'), '')
    expect(layoutOf(join(folder, 'cnf'))).toEqual({ systemFiles: ['system', 'more'], pageBytes: 4096 })
    expect(layoutOf(join(folder, 'none'))).toEqual(LAYOUT)
    expect(layoutOf(join(folder, 'absent'))).toEqual(LAYOUT)
  })
})

describe('a file that is shorter than it says', () => {
  test('is found, by one page and less, wherever it lies', async () => {
    const folder = datadir()
    tablespace(join(folder, 'app/whole.ibd'), 6)
    tablespace(join(folder, 'app/longer.ibd'), 6, 10 * PAGE)
    tablespace(join(folder, 'app/cut.ibd'), 6, 6 * PAGE - 1)
    tablespace(join(folder, 'app/t#P#p0.ibd'), 6, 5 * PAGE)
    tablespace(join(folder, 'undo001'), 640, 600 * PAGE)
    tablespace(join(folder, 'undo_001'), 640, 600 * PAGE)
    expect((await shortIn(folder)).sort()).toEqual([
      ['app/cut.ibd', 6 * PAGE - 1, 6 * PAGE],
      ['app/t#P#p0.ibd', 5 * PAGE, 6 * PAGE],
      ['undo001', 600 * PAGE, 640 * PAGE],
      ['undo_001', 600 * PAGE, 640 * PAGE],
    ])
  })

  test('with DATA DIRECTORY too; one that is not there is not its matter', async () => {
    const folder = datadir()
    const other = scratch()
    tablespace(join(other, 'app/far.ibd'), 6, PAGE)
    put(join(folder, 'app/far.isl'), `${join(other, 'app/far.ibd')}\n`)
    put(join(folder, 'app/gone.isl'), join(other, 'app/gone.ibd'))
    expect(await shortIn(folder)).toEqual([['app/far.isl', PAGE, 6 * PAGE]])
  })

  test('is found when not even its header is there; what an ALTER TABLE left is none', async () => {
    const folder = datadir()
    for (const name of ['empty.frm', 'empty.ibd', 'part.frm', 'part#P#p0.ibd', 'of_no_table.ibd'])
      put(join(folder, 'app', name), '')
    put(join(folder, 'app/#sql-alter-1.ibd'), '')
    put(join(folder, 'app/zeros.ibd'), Buffer.alloc(4 * PAGE))
    expect((await shortIn(folder)).sort()).toEqual([
      ['app/empty.ibd', 0, 1024],
      ['app/part#P#p0.ibd', 0, 1024],
    ])
  })

  test('every one of many', async () => {
    const folder = datadir()
    for (let index = 0; index < 50; index++) tablespace(join(folder, `app/t${index}.ibd`), 6, PAGE)
    let checked = 0
    expect(await findShort(folder, LAYOUT, () => checked++)).toHaveLength(50)
    expect(checked).toBeGreaterThan(2)
  })

  test('of the system tablespace, whose files count together, with what InnoDB lets pass', async () => {
    const folder = scratch()
    const layout = { ...LAYOUT, systemFiles: ['ibdata1', 'ibdata2'] }
    tablespace(join(folder, 'ibdata1'), 2000, 1000 * PAGE)
    expect(await shortIn(folder, layout)).toEqual([])
    put(join(folder, 'ibdata2'), Buffer.alloc(500 * PAGE))
    expect(await shortIn(folder, layout)).toEqual([])
    truncateSync(join(folder, 'ibdata2'), 499 * PAGE)
    expect(await shortIn(folder, layout)).toEqual([['ibdata1 and ibdata2', 1499 * PAGE, 2000 * PAGE]])
  })
})

describe('a table without a file', () => {
  const frm = (engine: number, partitions = 0) => {
    const head = Buffer.alloc(100)
    head.set([0xfe, 0x01, 0x0a, engine])
    head[61] = partitions
    return head
  }
  /** As ha_partition writes it: words of four bytes. */
  const par = (names: readonly string[]) => {
    const text = Buffer.from(names.map(name => `${name}\0`).join(''))
    const engines = Buffer.alloc(Math.ceil(names.length / 4) * 4, 12)
    const head = Buffer.alloc(12)
    head.writeUInt32LE(names.length, 8)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(text.length)
    return Buffer.concat([head, engines, length, text, Buffer.alloc(3)])
  }

  test('is one of InnoDB alone', async () => {
    const folder = scratch()
    const at = (name: string) => join(folder, 'app', name)
    put(at('here.frm'), frm(12))
    put(at('here.ibd'), '')
    put(at('gone.frm'), frm(12))
    put(at('aria.frm'), frm(42))
    put(at('view.frm'), 'TYPE=VIEW\nquery=select 1\n')
    put(at('tiny.frm'), '')
    put(at('#sql-alter-1.frm'), frm(12))
    put(at('far.frm'), frm(12))
    put(at('far.isl'), at('here.ibd'))
    put(at('lost.frm'), frm(12))
    put(at('lost.isl'), '/nowhere/lost.ibd')
    put(join(folder, 'top.frm'), frm(12))
    expect(await findMissing(folder)).toEqual(['app/gone.ibd', 'app/lost.ibd'])
  })

  test('has as many as it has partitions', async () => {
    const folder = scratch()
    const at = (name: string) => join(folder, 'app', name)
    put(at('t.frm'), frm(20, 12))
    put(at('t.par'), par(['p0', 'p1', 'p2#SP#s0', 'p2#SP#s1', 'p@002d3']))
    put(at('t#P#p0.ibd'), '')
    put(at('t#P#p2#SP#s1.ibd'), '')
    put(at('other.frm'), frm(20, 9))
    put(at('other.par'), par(['p0']))
    put(at('cut.frm'), frm(20, 12))
    put(at('cut.par'), par(['p0']).subarray(0, 9))
    expect(await findMissing(folder)).toEqual(['app/t#P#p1.ibd', 'app/t#P#p2#SP#s0.ibd', 'app/t#P#p@002d3.ibd'])
    for (let length = 0; length < 30; length++)
      expect(partitionNames(par(['p0', 'p1']).subarray(0, length)).length).toBeLessThan(3)
  })
})

describe('a datadir', () => {
  test('that is whole passes', async () => {
    const folder = datadir()
    tablespace(join(folder, 'app/t.ibd'), 6)
    expect(await verifyDatadir(folder, LAYOUT)).toEqual([])
  })

  test('of xtrabackup may lack what a table that grew had not used yet, and this is told', async () => {
    const folder = datadir()
    const slackBytes = SLACK_BYTES.xtrabackup
    const pages = 2 + slackBytes / PAGE
    tablespace(join(folder, 'app/grew.ibd'), pages, 2 * PAGE)
    expect(await verifyDatadir(folder, LAYOUT, { slackBytes })).toEqual([
      expect.stringContaining('app/grew.ibd has 32768 of'),
    ])
    truncateSync(join(folder, 'app/grew.ibd'), 2 * PAGE - 1)
    await expect(verifyDatadir(folder, LAYOUT, { slackBytes })).rejects.toMatchObject({ code: 'verify_failed' })
  })

  test.each<[what: string, spoil: (folder: string) => void, layout: Layout, says: RegExp]>([
    ['without its system tablespace', () => {}, { ...LAYOUT, systemFiles: ['system'] }, /holds no system/],
    ['with a delta', folder => put(join(folder, 'a.ibd.delta'), ''), LAYOUT, /a\.ibd\.delta/],
    [
      'with a short file',
      folder => tablespace(join(folder, 'a/t.ibd'), 6, PAGE),
      LAYOUT,
      /a\/t\.ibd has 16384 of 98304/,
    ],
  ])('%s does not', async (_, spoil, layout, says) => {
    const folder = datadir()
    spoil(folder)
    const refusal = { code: 'verify_failed', message: expect.stringMatching(says) }
    await expect(verifyDatadir(folder, layout)).rejects.toMatchObject(refusal)
  })
})
