import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lostWords } from '../../../src/restore/state/state-dir.ts'
import { keepMetadata, moveRemnants, replaceConfig } from '../../../src/restore/steps/kept-files.ts'
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

test('encrypted tables without the key file of this host are key_missing, and the tools get the one that is given', () => {
  const folder = scratch()
  const [runDir, directory] = [join(folder, 'run'), join(folder, 'data')]
  mkdirSync(directory)
  const config = join(directory, 'backup-my.cnf')
  writeFileSync(config, '[mysqld]\nplugin_load=file_key_management.so\nfile_key_management_filename=/etc/mysql/keys\n')
  keepMetadata(directory, runDir, 1)
  expect(() => replaceConfig(directory, runDir, 1, null)).toThrow(
    expect.objectContaining({ code: 'key_missing', hint: expect.stringContaining('--encryption-key-file') }),
  )
  expect(replaceConfig(directory, runDir, 1, '/root/keys')).toEqual([])
  expect(readFileSync(config, 'utf8')).toContain('file_key_management_filename=/root/keys\n')
  expect(readFileSync(join(runDir, 'backup/1/backup-my.cnf.original'), 'utf8')).toContain('/etc/mysql/keys')
})
