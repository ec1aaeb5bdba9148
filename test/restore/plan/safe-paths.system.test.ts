import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { outsideFiles } from '../../../src/restore/plan/extracted.ts'
import { checkOutsideFiles, checkSafePaths } from '../../../src/restore/plan/prechecks.ts'
import { scratch } from '../../support/scratch.ts'
import { thrownBy } from '../../support/thrown-by.ts'

/* As root: other local users are made by numbers. */

const [OWNER, OTHER] = [45_678, 45_679]
const runAs = { uid: OWNER, gid: OWNER }

function tree(change: (at: { parent: string; datadir: string }) => void): string {
  const parent = join(scratch(), 'parent')
  const datadir = join(parent, 'data')
  mkdirSync(datadir, { recursive: true })
  change({ parent, datadir })
  return datadir
}

describe('a directory that another local user can swap is refused', () => {
  test.each<[string, Parameters<typeof tree>[0]]>([
    ['a parent of somebody else', ({ parent }) => chownSync(parent, OTHER, OTHER)],
    ['a parent that all may write', ({ parent }) => chmodSync(parent, 0o777)],
    [
      'a parent that a group may write',
      ({ parent }) => {
        chownSync(parent, 0, OTHER)
        chmodSync(parent, 0o775)
      },
    ],
    ['a datadir of somebody else', ({ datadir }) => chownSync(datadir, OTHER, OTHER)],
    ['a datadir that all may write', ({ datadir }) => chmodSync(datadir, 0o777)],
    [
      'one of somebody else in a sticky directory',
      ({ parent, datadir }) => {
        chmodSync(parent, 0o1777)
        chownSync(datadir, OTHER, OTHER)
      },
    ],
  ])('%s', (_, change) => {
    const datadir = tree(change)
    expect(thrownBy(() => checkSafePaths([datadir], runAs))).toMatchObject({ code: 'unsafe_path' })
    expect(thrownBy(() => checkSafePaths([`${datadir}/new`], runAs))).toMatchObject({ code: 'unsafe_path' })
  })

  test('behind a link too, and the link itself where it is somebody else’s', () => {
    const datadir = tree(({ parent }) => chmodSync(parent, 0o777))
    const link = join(scratch(), 'link')
    symlinkSync(datadir, link)
    expect(thrownBy(() => checkSafePaths([link], runAs))).toMatchObject({ code: 'unsafe_path' })
    const safe = join(scratch(), 'link')
    symlinkSync(
      tree(() => {}),
      safe,
    )
    checkSafePaths([safe, `${safe}/new/data`], runAs)
  })

  test('where the tools run as root, the owner too counts as another user', () => {
    const datadir = tree(({ parent }) => chownSync(parent, OWNER, OWNER))
    checkSafePaths([datadir], runAs)
    expect(thrownBy(() => checkSafePaths([datadir], null))).toMatchObject({ code: 'unsafe_path' })
  })
})

test.each<[string, Parameters<typeof tree>[0]]>([
  ['of root', () => {}],
  ['of the owner', ({ parent, datadir }) => [parent, datadir].forEach(path => void chownSync(path, OWNER, OWNER))],
  ['in a sticky directory', ({ parent }) => chmodSync(parent, 0o1777)],
  [
    "that the owner's group may write",
    ({ parent }) => {
      chownSync(parent, 0, OWNER)
      chmodSync(parent, 0o775)
    },
  ],
])('one %s is safe', (_, change) => {
  checkSafePaths([tree(change)], runAs)
})

describe('tables outside of the datadir', () => {
  const at = () => {
    const dir = scratch()
    const [backup, datadir, elsewhere] = [join(dir, 'backup'), join(dir, 'data'), join(dir, 'elsewhere')]
    for (const path of [join(backup, 'app'), elsewhere]) mkdirSync(path, { recursive: true })
    const places = { datadir, targetDir: join(dir, 'target') }
    const options = (allowOutside: boolean) => ({ allowOutside, stateDir: join(dir, 'state') })
    const check = async (allowOutside: boolean) =>
      checkOutsideFiles(await outsideFiles(backup), places, options(allowOutside))
    return { dir, backup, datadir, elsewhere, check }
  }

  test('are refused unless they are allowed, from both kinds of tools', async () => {
    const { backup, elsewhere, check } = at()
    writeFileSync(join(backup, 'app/t.isl'), `${elsewhere}/app/t.ibd\n`)
    await expect(check(false)).rejects.toMatchObject({
      code: 'outside_refused',
      message: expect.stringContaining(`${elsewhere}/app/t.ibd`),
    })
    await check(true)
    const other = at()
    const json = { version: '8.0.35', external_tablespaces: [{ file_name: `${other.elsewhere}/ts1.ibd`, space_id: 5 }] }
    writeFileSync(join(other.backup, 'xtrabackup_tablespaces'), JSON.stringify(json))
    await expect(other.check(false)).rejects.toMatchObject({ code: 'outside_refused' })
    await other.check(true)
  })

  test('never over a file that exists, nor where the restore works, nor by an odd path', async () => {
    const { dir, backup, elsewhere, check } = at()
    const isl = (path: string) => writeFileSync(join(backup, 'app/t.isl'), path)
    writeFileSync(join(elsewhere, 't.ibd'), 'somebody’s')
    isl(`${elsewhere}/t.ibd`)
    await expect(check(true)).rejects.toMatchObject({ code: 'datadir_not_empty' })
    for (const path of [
      `${dir}/target/x.ibd`,
      `${dir}/state/state.json`,
      `${elsewhere}/../x.ibd`,
      'x/y.ibd',
      '/a\n/b',
      '',
    ]) {
      isl(path)
      await expect(check(true)).rejects.toMatchObject({ code: 'outside_refused' })
    }
  })

  test('inside the datadir are like any other', async () => {
    const { backup, datadir, check } = at()
    writeFileSync(join(backup, 'app/t.isl'), `${datadir}/app/t.ibd`)
    await check(false)
  })
})
