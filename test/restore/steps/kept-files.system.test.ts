import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lostWords } from '../../../src/restore/state/state-dir.ts'
import { keepMetadata, moveRemnants } from '../../../src/restore/steps/kept-files.ts'
import { mountTmpfs } from '../../integration/workspace.ts'
import { scratch } from '../../support/scratch.ts'

test('a full state dir is disk_full, whoever writes there', async () => {
  const folder = scratch()
  const [runDir, datadir] = [join(folder, 'run'), join(folder, 'data')]
  mkdirSync(datadir)
  writeFileSync(join(datadir, 'xtrabackup_info'), 'x'.repeat(5000))
  await mountTmpfs(runDir, 8192)
  expect(lostWords(runDir)).toMatchObject({ code: 'disk_full', message: expect.stringContaining(runDir) })
  writeFileSync(join(runDir, 'fill'), Buffer.alloc(8192))
  const full = expect.objectContaining({ code: 'disk_full', message: expect.stringContaining(runDir) })
  expect(() => keepMetadata(datadir, runDir, 1)).toThrow(full)
  expect(() => moveRemnants(datadir, runDir)).toThrow(full)
  expect(lostWords(datadir)).toBeNull()
})
