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
  const keys = join(folder, 'keys')
  writeFileSync(keys, '1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n')
  expect(replaceConfig(directory, runDir, 1, keys)).toEqual([])
  expect(readFileSync(config, 'utf8')).toContain(`file_key_management_filename=${keys}\n`)
  expect(readFileSync(join(runDir, 'backup/1/backup-my.cnf.original'), 'utf8')).toContain('/etc/mysql/keys')
})

test('an encrypted key file needs a password that the tools get: one in a file of the old server is named, not read', () => {
  const folder = scratch()
  const [runDir, directory, keys] = [join(folder, 'run'), join(folder, 'data'), join(folder, 'keys')]
  mkdirSync(directory)
  const replace = (filekey: string, content: string) => {
    const config = `plugin_load=file_key_management.so\nfile_key_management_filename=/etc/mysql/keys\n${filekey}\n`
    writeFileSync(join(directory, 'backup-my.cnf'), `[mysqld]\n${config}`)
    writeFileSync(keys, content)
    keepMetadata(directory, runDir, 1)
    return replaceConfig(directory, runDir, 1, keys)
  }
  const encrypted = 'Salted__\x01\x02\x03'
  const fromFile = 'file_key_management_filekey=FILE:/etc/mysql/password'
  const refused = (message: string) =>
    expect.objectContaining({
      code: 'key_missing',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('openssl enc -d'),
    })
  expect(() => replace(fromFile, encrypted)).toThrow(refused("the backup's server had in /etc/mysql/password"))
  expect(() => replace('', encrypted)).toThrow(refused('the backup does not say'))
  expect(replace('file_key_management_filekey=secret', encrypted)).toEqual([])
  expect(replace(fromFile, '1;a7addd9adea9978fda19f21e6be987880')).toEqual(['file_key_management_filekey'])
})

test('a byte order mark, which no tool knows, does not stay in backup-my.cnf', () => {
  const folder = scratch()
  const [runDir, directory] = [join(folder, 'run'), join(folder, 'data')]
  mkdirSync(directory)
  writeFileSync(join(directory, 'backup-my.cnf'), '\ufeff[mysqld]\ninnodb_page_size=16384\n', { mode: 0o640 })
  keepMetadata(directory, runDir, 1)
  expect(replaceConfig(directory, runDir, 1, null)).toEqual([])
  expect(readFileSync(join(directory, 'backup-my.cnf'), 'utf8')).toBe('[mysqld]\ninnodb_page_size=16384\n')
})
