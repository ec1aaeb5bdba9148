import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inspectCommand } from '../../src/cli/inspect-command.ts'
import { checkKeyFile } from '../../src/source/key-file.ts'
import { scratch } from '../support/scratch.ts'

const refused = (code: string, path: string) =>
  expect(() => checkKeyFile(path)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(path) }))

test('a regular file will do, also by a link', () => {
  const folder = scratch()
  writeFileSync(join(folder, 'key'), 'secret')
  symlinkSync('key', join(folder, 'link'))
  for (const name of ['key', 'link']) expect(() => checkKeyFile(join(folder, name))).not.toThrow()
})

test('one that is not there is missing', () => {
  const folder = scratch()
  refused('key_missing', join(folder, 'key'))
  symlinkSync('nowhere', join(folder, 'link'))
  refused('key_missing', join(folder, 'link'))
  writeFileSync(join(folder, 'file'), '')
  refused('key_missing', join(folder, 'file/key'))
})

test('what is empty when it is read again is refused, and nobody waits for it', async () => {
  const folder = scratch()
  execFileSync('mkfifo', [join(folder, 'fifo')])
  mkdirSync(join(folder, 'directory'))
  for (const path of [join(folder, 'fifo'), join(folder, 'directory'), '/dev/null']) refused('usage', path)
  await expect(inspectCommand('-', { decryptKeyFile: join(folder, 'fifo') })).rejects.toMatchObject({ code: 'usage' })
})

test('a descriptor of this process is none of a tool, whatever file it is', () => {
  const path = join(scratch(), 'key')
  writeFileSync(path, 'secret')
  const fd = openSync(path, 'r')
  refused('usage', `/dev/fd/${fd}`)
  refused('usage', `/proc/self/fd/${fd}`)
  closeSync(fd)
})
