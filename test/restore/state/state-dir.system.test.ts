import { chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStateDir } from '../../../src/restore/state/state-dir.ts'
import { scratch } from '../../support/scratch.ts'

test("another user's state dir is refused, also by root", () => {
  const path = join(scratch(), 'state')
  mkdirSync(path, { mode: 0o700 })
  chownSync(path, 12345, 12345)
  expect(() => openStateDir(path)).toThrow(
    expect.objectContaining({ code: 'not_permitted', message: expect.stringContaining('another user') }),
  )
})
