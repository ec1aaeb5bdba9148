import { chownSync, lchownSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkSafePaths } from '../../../src/restore/plan/prechecks.ts'
import { scratch } from '../../support/scratch.ts'

const OWNER = { uid: 12345, gid: 12345 }

/** A link `link` to an empty directory of root's, and a datadir behind it. */
function datadirBehindLink(): { link: string; datadir: string } {
  const folder = scratch()
  mkdirSync(join(folder, 'of-root'), { mode: 0o755 })
  const link = join(folder, 'link')
  symlinkSync(join(folder, 'of-root'), link)
  return { link, datadir: join(link, 'data') }
}

test("root's link on the way to the datadir is followed, the owner's is not", () => {
  const { link, datadir } = datadirBehindLink()
  expect(() => checkSafePaths([datadir], OWNER)).not.toThrow()
  lchownSync(link, OWNER.uid, OWNER.gid)
  expect(() => checkSafePaths([datadir], OWNER)).toThrow(
    expect.objectContaining({
      code: 'unsafe_path',
      message: expect.stringContaining(`user 12345 owns the link ${link}`),
    }),
  )
})

test("a directory of the owner's is safe, one of another user's is not", () => {
  const folder = scratch()
  const parent = join(folder, 'parent')
  mkdirSync(parent, { mode: 0o755 })
  for (const [uid, isSafe] of [
    [0, true],
    [OWNER.uid, true],
    [54321, false],
  ] as const) {
    chownSync(parent, uid, uid)
    const check = expect(() => checkSafePaths([join(parent, 'data')], OWNER))
    if (isSafe) check.not.toThrow()
    else check.toThrow(expect.objectContaining({ code: 'unsafe_path' }))
  }
})
