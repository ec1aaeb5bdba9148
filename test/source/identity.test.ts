import { copyFileSync, cpSync, mkdirSync, openSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { identityDifference } from '../../src/source/identity.ts'
import { openSource } from '../../src/source/open-source.ts'
import type { SourceIdentity } from '../../src/source/source.ts'
import { openStdinSource } from '../../src/source/stdin.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { scratch } from '../support/scratch.ts'

async function identityOf(path: string): Promise<SourceIdentity | null> {
  const source = await openSource({ kind: 'path', path }, NO_SETTINGS)
  return source.identity().finally(source.close)
}

const OLD = new Date('2020-01-01T00:00:00Z')

/** A file of 200 kB, old by its modification time, as all its replacements are. */
function write(path: string, middle = 'a', ends = 'e'): string {
  writeFileSync(path, `${ends.repeat(70_000)}${middle.repeat(60_000)}${ends.repeat(70_000)}`)
  utimesSync(path, OLD, OLD)
  return path
}

describe('a file is the same', () => {
  test('under another name, by a link, and ahead of our clock', async () => {
    const at = scratch()
    const path = write(`${at}/full.xb`)
    const was = await identityOf(path)
    symlinkSync(path, `${at}/link`)
    expect(identityDifference(was, await identityOf(`${at}/link`))).toBeNull()
    renameSync(path, `${at}/moved.xb`)
    expect(identityDifference(was, await identityOf(`${at}/moved.xb`))).toBeNull()
    const future = write(`${at}/future`)
    utimesSync(future, new Date('2999-01-01'), new Date('2999-01-01'))
    expect(identityDifference(await identityOf(future), await identityOf(future))).toBeNull()
  })
  test('after a reboot gave its device another number', async () => {
    const was = await identityOf(write(`${scratch()}/full.xb`))
    const rebooted = Object.fromEntries(
      Object.entries(was!).map(([fact, value]) =>
        fact.startsWith('device') ? ['device in boot other', '999'] : [fact, value],
      ),
    )
    expect(identityDifference(rebooted, was)).toBeNull()
  })
})

describe('a file is another one', () => {
  test.each<[string, (path: string) => void, string]>([
    [
      'replaced by a rename, of the same size and modification time',
      path => renameSync(write(`${path}.new`, 'b'), path),
      'inode',
    ],
    ['written over with the old time put back', path => void write(path, 'a', 'f'), 'first and last 64 KiB'],
    ['that grew', path => void write(`${path}`, 'aa'), 'size'],
    ['written over in the middle', path => writeFileSync(path, 'b', { flag: 'r+' }), 'modification time'],
  ])('%s', async (_, change, fact) => {
    const path = write(`${scratch()}/full.xb`)
    const was = await identityOf(path)
    change(path)
    expect(identityDifference(was, await identityOf(path))).toBe(fact)
  })
})

test('what a tool reads is the file that was looked at, though its name leads to another one by now', async () => {
  const at = scratch()
  const source = await openSource({ kind: 'path', path: write(`${at}/full.xb`) }, NO_SETTINGS)
  renameSync(write(`${at}/new`, 'b'), `${at}/full.xb`)
  const first = Buffer.alloc(10)
  if (source.kind !== 'stream') throw new Error('a file is a stream')
  const { readSync } = await import('node:fs')
  expect(readSync(source.file!.fd(), first, 0, 10, 100_000)).toBe(10)
  expect(first.toString()).toBe('aaaaaaaaaa')
  await source.close()
})

describe('a directory', () => {
  const make = () => {
    const at = `${scratch()}/full`
    mkdirSync(`${at}/app`, { recursive: true })
    for (const path of ['ibdata1', 'app/t.ibd', 'app/u.ibd']) write(`${at}/${path}`)
    return at
  }
  test('is the same when nothing changed, whatever the order of its entries', async () => {
    const at = make()
    const was = await identityOf(at)
    cpSync(at, `${at}-copy`, { recursive: true, preserveTimestamps: true })
    expect(identityDifference(was, await identityOf(`${at}-copy`))).toBeNull()
  })
  test.each<[string, (at: string) => void]>([
    ['a file less', at => renameSync(`${at}/app/u.ibd`, `${at}-u`)],
    ['a file more', at => copyFileSync(`${at}/ibdata1`, `${at}/app/v.ibd`)],
    ['a file of another time', at => utimesSync(`${at}/app/t.ibd`, OLD, new Date('2020-01-02'))],
    [
      'two files that changed names',
      at => {
        utimesSync(`${at}/app/t.ibd`, OLD, new Date(1))
        renameSync(`${at}/app/t.ibd`, `${at}/x`)
        renameSync(`${at}/app/u.ibd`, `${at}/app/t.ibd`)
        renameSync(`${at}/x`, `${at}/app/u.ibd`)
      },
    ],
  ])('with %s is another one', async (_, change) => {
    const at = make()
    const was = await identityOf(at)
    change(at)
    expect(identityDifference(was, await identityOf(at))).toBe('list of files')
  })
})

test('redirected standard input is known by its bytes, so that a copy of the file may be given again', async () => {
  const at = scratch()
  const identity = (path: string) => openStdinSource(openSync(path, 'r')).identity()
  const was = await identity(write(`${at}/full.xb`))
  copyFileSync(`${at}/full.xb`, `${at}/copy.xb`)
  expect(identityDifference(was, await identity(`${at}/copy.xb`))).toBeNull()
  expect(identityDifference(was, await identity(write(`${at}/other.xb`, 'a', 'f')))).toBe('first and last 64 KiB')
})
