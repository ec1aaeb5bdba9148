import { execFileSync } from 'node:child_process'
import { lchownSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDirectorySource } from '../../src/source/directory.ts'
import { scratch } from '../support/scratch.ts'

const refusal = (says: RegExp) =>
  expect.objectContaining({ code: 'source_unreadable', message: expect.stringMatching(says) })

test('a FIFO and a device are refused, and nobody waits for them', async () => {
  for (const make of [(path: string) => ['mkfifo', path], (path: string) => ['mknod', path, 'c', '1', '5']]) {
    const folder = scratch()
    const [program, ...args] = make(join(folder, 't.ibd'))
    execFileSync(program!, args)
    const source = openDirectorySource(folder)
    await expect(source.storedBytes()).rejects.toEqual(refusal(/t\.ibd is a FIFO, a socket or a device/))
    await expect(source.read('t.ibd')).rejects.toEqual(refusal(/t\.ibd is a FIFO, a socket or a device/))
  }
})

test('root follows no link that its owner made to what belongs to somebody else', async () => {
  const folder = scratch()
  writeFileSync(join(folder, 'roots'), 'of root')
  symlinkSync('roots', join(folder, 'link.frm'))
  const source = openDirectorySource(folder)
  expect(await source.storedBytes()).toBe(14)
  lchownSync(join(folder, 'link.frm'), 65_533, 65_533)
  await expect(source.storedBytes()).rejects.toEqual(refusal(/is a link of user 65533 to what belongs to user 0/))
})
