import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeVaried, type Varied } from './make-varied.ts'
import { type Ended, expectSuccess, type Workspace, workspace } from './workspace.ts'

/**
 * A restore that says success is one: files that a copy of the backup has lost or cut are found, also where no redo
 * touches them; and nothing that a server does write is mistaken for damage.
 */
let folder: string
let varied: Varied

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ra-varied-'))
  chmodSync(folder, 0o755)
  varied = await makeVaried(folder, 16)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const INSIDE = ['app/inside.ibd', 'app/inside_part#P#p0.ibd', 'app/inside_part#P#p1.ibd']

/** The backup has a table with DATA DIRECTORY. */
const OUTSIDE = ['--allow-outside']

/**
 * A copy of the backup with files removed (or shortened, where a function says). Where tables with DATA DIRECTORY went
 * is cleared.
 */
async function spoiled(
  at: Workspace,
  form: keyof Varied,
  spoil: Readonly<Record<string, ((bytes: number) => number) | null>>,
) {
  rmSync(join(folder, 'elsewhere'), { recursive: true, force: true })
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', varied[form], source])
  for (const [name, cut] of Object.entries(spoil)) {
    const path = join(source, name)
    if (cut === null) rmSync(path)
    else truncateSync(path, cut(statSync(path).size))
  }
  return source
}

const notices = (at: Workspace) =>
  at
    .state()!
    .notices.filter(text => !text.startsWith('prepare may take'))
    .join('\n')

function expectRefusal(ended: Ended, code: number, ...says: readonly (string | RegExp)[]): void {
  expect(ended, ended.stderr).toMatchObject({ code })
  for (const text of says) expect(ended.stderr).toMatch(text)
}

describe('what servers write is no damage', () => {
  test.each(['backup', 'prepared'] as const)('%s: only the tables in the system tablespace are told of', async form => {
    const at = workspace()
    expectSuccess(await at.restore([await spoiled(at, form, {})], { args: OUTSIDE }))
    expect(notices(at)).toMatch(new RegExp(`^3 InnoDB tables have no file of their own: ${INSIDE.join(', ')};`))
  })

  test('a server that is started on it opens every table, so nothing is told', async () => {
    const at = workspace()
    // A temporary table of another server, as MariaDB would remove it from a tmpdir that it takes for its own.
    const others = join(at.dir, 'tmp/#sql-temptable-1-1-1.MAI')
    mkdirSync(dirname(others))
    chmodSync(dirname(others), 0o777)
    writeFileSync(others, '')
    const run = { args: ['--start-check', '--owner', 'nobody:nogroup', ...OUTSIDE], env: { TMPDIR: dirname(others) } }
    expectSuccess(await at.restore([await spoiled(at, 'backup', {})], run))
    expect(notices(at)).not.toMatch(/no file of their own/)
    expect(notices(at)).toMatch(/^the server of the start check changed \d files: .*ib_logfile0/m)
    expect(existsSync(others)).toBe(true)
    expect(existsSync(join(folder, 'elsewhere/app/far.ibd'))).toBe(true)
  })

  test.each([
    [4, []],
    [8, ['--innodb-checksum-algorithm=crc32']],
    [64, []],
  ] as const)(
    'pages of %d KiB %s',
    async (pageKib, options) => {
      const at = workspace()
      const { backup } = await makeVaried(at.dir, pageKib, options)
      expectSuccess(await at.restore([backup], { args: OUTSIDE }))
      expect(notices(at)).toMatch(/^3 InnoDB tables/)
    },
    60_000,
  )
})

describe('a file that was cut', () => {
  const lastByte = (bytes: number) => bytes - 1
  test.each([
    [{ 'app/idle.ibd': lastByte, 'app/redundant.ibd': () => 100_000, 'app/page_compressed.ibd': lastByte }],
    [{ 'app/zip.ibd': (bytes: number) => bytes - 4096, 'app/part#P#p@002d1.ibd': lastByte, 'app/far.ibd': lastByte }],
    [{ 'app/tiny.ibd': () => 0 }],
    [{ 'app/far.ibd': () => 63 }],
    [{ 'app/far.ibd': () => 0 }],
  ])('%o: verify_failed', async cut => {
    const at = workspace()
    const ended = await at.restore([await spoiled(at, 'backup', cut)], { args: OUTSIDE })
    expectRefusal(ended, 55, /^error verify_failed: /m, /^hint: the source/m)
    for (const name of Object.keys(cut)) expect(ended.stderr).toContain(`${name.replace('far.ibd', 'far.isl')} has `)
    expect(ended.stderr.match(/ has \d+ of \d+ bytes/g)).toHaveLength(Object.keys(cut).length)
    expect(at.state()).toMatchObject({ phase: 'failed_basebackup' })
  })

  test('a prepared backup’s system tablespace: verify_failed', async () => {
    const at = workspace()
    const ended = await at.restore([await spoiled(at, 'prepared', { ibdata1: () => 2 * 1024 * 1024 })], {
      args: OUTSIDE,
    })
    expectRefusal(ended, 55, /ibdata1 has 2097152 of \d+ bytes/)
  })
})

describe('a file that is missing', () => {
  const GONE = { 'app/idle.ibd': null, 'app/part#P#p0.ibd': null }

  test('without a server it is told, with what to do', async () => {
    const at = workspace()
    expectSuccess(await at.restore([await spoiled(at, 'backup', GONE)], { args: OUTSIDE }))
    expect(notices(at)).toMatch(/^5 InnoDB tables .*app\/idle\.ibd.*app\/part#P#p0\.ibd.*--start-check/)
  })

  test('a server that is started on it finds it: start_check_failed', async () => {
    const at = workspace()
    const ended = await at.restore([await spoiled(at, 'backup', GONE)], {
      args: ['--start-check', '--owner', 'nobody:nogroup', ...OUTSIDE],
    })
    expectRefusal(
      ended,
      57,
      /^error start_check_failed: 2 tables cannot be opened: app\.idle, app\.part$/m,
      /^ {2}app\.part: .*Tablespace is missing/m,
      /^hint: these tables are not in the backup/m,
    )
    expect(at.state()).toMatchObject({ phase: 'failed_basebackup', tools: [] })
  })

  test.each(['app/myisam.MYD', 'app/myisam.MYI', 'app/idle.frm', 'mysql/global_priv.MAD'])(
    'of another engine, or a definition: verify_failed (%s)',
    async name => {
      const at = workspace()
      const ended = await at.restore([await spoiled(at, 'backup', { [name]: null })], { args: OUTSIDE })
      expectRefusal(ended, 55, new RegExp(`^error verify_failed: 1 files of tables are missing: ${name}$`, 'm'))
    },
  )
})

describe('a backup of some databases', () => {
  test('tells nothing of what it left out, and not of the tables that are inside', async () => {
    const at = workspace()
    expectSuccess(await at.restore([await spoiled(at, 'partial', {})], { args: OUTSIDE }))
    expect(notices(at)).not.toMatch(/no file of their own/)
  })

  test('is no failure of a start check', async () => {
    const at = workspace()
    expectSuccess(
      await at.restore([await spoiled(at, 'partial', { 'app/idle.ibd': null })], {
        args: ['--start-check', '--owner', 'nobody:nogroup', ...OUTSIDE],
      }),
    )
    expect(notices(at)).toMatch(/no system tables; the backup was taken of some tables only/)
    expect(notices(at)).toMatch(/1 tables cannot be opened: app\.idle; the backup was taken of some tables only/)
  })
})
