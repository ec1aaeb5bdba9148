import { mkdirSync, openSync, rmSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SLACK_BYTES, verifyDatadir } from '../../../src/restore/steps/finalize.ts'
import {
  findMissing,
  findShort,
  type Layout,
  layoutOf,
  partitionNames,
} from '../../../src/restore/steps/table-files.ts'
import { scratch } from '../../support/scratch.ts'

/**
 * Which files of a datadir are called short, missing or left over. What real servers write is restored in
 * integration/incomplete-copies.test.ts.
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
    // A definition is in the datadir, whereever the file is.
    put(join(folder, 'app/stump.frm'), '')
    put(join(folder, 'app/stump.isl'), join(other, 'app/stump.ibd'))
    put(join(other, 'app/stump.ibd'), Buffer.alloc(63))
    put(join(folder, 'app/part.frm'), '')
    put(join(folder, 'app/part#P#p0.isl'), join(other, 'app/part#P#p0.ibd'))
    put(join(other, 'app/part#P#p0.ibd'), '')
    expect((await shortIn(folder)).sort()).toEqual([
      ['app/far.isl', PAGE, 6 * PAGE],
      ['app/part#P#p0.isl', 0, 1024],
      ['app/stump.isl', 63, 1024],
    ])
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

  test('is lost, or may lie in the system tablespace', async () => {
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
    expect(await findMissing(folder)).toEqual({
      lost: ['app/aria.MAD', 'app/aria.MAI', 'app/lost.ibd'],
      unsure: ['app/gone.ibd'],
    })
  })

  test.each<[engine: number, files: string[]]>([
    [9, ['t.MYD', 't.MYI']],
    [10, ['t.MRG']],
    [16, ['t.ARZ']],
    [17, ['t.CSV']],
    [42, ['t.MAD', 't.MAI']],
  ])('of engine %i is lost with any of its files, the definition included', async (engine, files) => {
    const folder = scratch()
    const at = (name: string) => join(folder, 'app', name)
    for (const other of ['other.frm', 'other#P#p0.ibd']) put(at(other), frm(12))
    const all = ['t.frm', ...files]
    const fill = () => {
      for (const name of all) put(at(name), name.endsWith('.frm') ? frm(engine) : '')
    }
    fill()
    expect((await findMissing(folder)).lost).toEqual([])
    for (const gone of all) {
      rmSync(at(gone))
      expect((await findMissing(folder)).lost).toEqual([`app/${gone}`])
      symlinkSync('/nowhere/file', at(gone)) // as MyISAM has them with DATA DIRECTORY
      if (gone !== 't.frm') expect((await findMissing(folder)).lost).toEqual([`app/${gone}`])
      rmSync(at(gone))
      fill()
    }
  })

  test('of MySQL 8 is told by its .sdi file', async () => {
    const folder = scratch()
    const at = (name: string) => join(folder, 'app', name)
    put(join(folder, 'mysql.ibd'), '')
    tablespace(at('inno.ibd'), 6)
    put(at('m_345.sdi'), '{"dd_object_type":"Table","dd_object":{"name":"m","engine":"MyISAM"}}')
    put(at('m.MYI'), '')
    expect(await findMissing(folder)).toEqual({ lost: ['app/m.MYD'], unsure: [] })
  })

  test('an InnoDB file needs a definition beside others, unless it is of full text search or a general tablespace', async () => {
    const folder = scratch()
    const at = (name: string) => join(folder, 'app', name)
    put(at('other.frm'), 'TYPE=VIEW')
    put(at('empty.ibd'), '')
    tablespace(at('FTS_000000000000001f_BEING_DELETED.ibd'), 6)
    tablespace(at('t#P#p0.ibd'), 6)
    tablespace(at('general.ibd'), 6)
    const header = Buffer.alloc(4)
    header.writeUInt32BE(1 << 11)
    writeSync(openSync(at('general.ibd'), 'r+'), header, 0, 4, 54)
    expect((await findMissing(folder)).lost).toEqual(['app/t.frm'])
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
    expect((await findMissing(folder)).unsure).toEqual([
      'app/t#P#p1.ibd',
      'app/t#P#p2#SP#s0.ibd',
      'app/t#P#p@002d3.ibd',
    ])
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
