import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { inspectSource } from '../../src/source/inspect.ts'
import { openSource } from '../../src/source/open-source.ts'
import type { StreamSource } from '../../src/source/source.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { openStoredBackup, readStoredBackup } from '../../src/source/stored-backup.ts'
import type { BackupAccess } from '../../src/source/transfer/job.ts'
import { newStats } from '../../src/source/transfer/stats.ts'
import { xbcloudObjects } from '../fixtures/xbcloud-objects.ts'
import { payloadChunk, xbstream } from '../fixtures/xbstream-writer.ts'
import { scratch } from '../support/scratch.ts'

const CHECKPOINTS = 'backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 100\nlast_lsn = 110\n'
const INFO = 'uuid = 1\ntool_name = xtrabackup\ntool_version = 8.0.35-31\nserver_version = 8.0.35\nincremental = N\n'
const FILES = {
  ibdata1: Buffer.alloc(3_000_000, 'ibdata1'),
  'app/t1.ibd': Buffer.alloc(700_000, 't1'),
  'app/empty.MYD': Buffer.alloc(0),
  'backup-my.cnf': Buffer.from('[mysqld]\n'),
  xtrabackup_checkpoints: Buffer.from(CHECKPOINTS),
  xtrabackup_info: Buffer.from(INFO),
}

function store(objects: Readonly<Record<string, Buffer>>): string {
  const place = scratch()
  for (const [key, bytes] of Object.entries(objects)) {
    mkdirSync(dirname(join(place, key)), { recursive: true })
    writeFileSync(join(place, key), bytes)
  }
  return place
}

const OBJECTS = xbcloudObjects('a', xbstream(FILES, 1_000_000))
const refTo = (path: string) => ({ kind: 'backup', place: { kind: 'path', path }, layout: 'xbcloud', id: 'a' }) as const
const chunk = (path: string, number = 0) => `a/${path}.${String(number).padStart(20, '0')}`

async function collect(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function opened<T>(place: string, use: (source: StreamSource) => Promise<T>): Promise<T> {
  const source = await openStoredBackup(refTo(place), NO_SETTINGS)
  return use(source).finally(source.close)
}

/** As the transfer process reads it. */
const transferred = (source: StreamSource): Promise<Buffer> =>
  collect(readStoredBackup(source.remote!.access as BackupAccess, newStats()))

describe('a backup of many objects', () => {
  test('is their bytes one after the other, metadata first', async () => {
    await opened(store(OBJECTS), async source => {
      const whole = await collect(source.bytes())
      expect(whole.length).toBe(source.storedBytes)
      expect(whole.length).toBe(Object.values(OBJECTS).reduce((sum, { length }) => sum + length, 0))
      expect(whole.subarray(14, 27).toString()).toBe('backup-my.cnf')
      expect(await transferred(source)).toEqual(whole)
      expect(await source.peek(1_500_000)).toEqual(whole.subarray(0, 1_500_000))
    })
  })

  test('tells its versions, LSNs and sizes by its listing and first bytes', async () => {
    const source = await openSource(refTo(store(OBJECTS)), NO_SETTINGS)
    const filters = () => ({ file: 'false', args: [] })
    expect(await inspectSource(source, { filters, keyFile: null, full: false }).finally(source.close)).toMatchObject({
      family: 'xtrabackup',
      toolVersion: '8.0.35-31',
      lastLsn: 110,
      kind: 'full',
      dataBytes: Object.values(FILES).reduce((sum, { length }) => sum + length, 0),
      files: 6,
      problem: null,
    })
  })

  test('replaced after it was looked at ends in source_changed', async () => {
    const place = store(OBJECTS)
    await opened(place, async source => {
      utimesSync(join(place, chunk('ibdata1', 1)), 1, 1)
      await expect(transferred(source)).rejects.toMatchObject({ code: 'source_changed' })
    })
  })

  test.each([
    [
      'a path that leads out',
      chunk('ibdata1'),
      payloadChunk('../../etc/passwd', Buffer.from('x'), 0),
      /a path with \.\./,
    ],
    ['a wrong checksum', chunk('ibdata1'), flipped(OBJECTS[chunk('ibdata1')]!), /wrong checksum/],
    ['bytes that are no chunk', chunk('ibdata1'), Buffer.alloc(2000, 7), /wrong chunk magic/],
  ])('with %s in an object is refused before the extractor has it', async (_, key, bytes, message) => {
    await opened(store({ ...OBJECTS, [key]: bytes }), async source => {
      const seen: Buffer[] = []
      const reading = (async () => {
        for await (const piece of source.bytes()) seen.push(piece)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'source_corrupt', message: expect.stringMatching(message) })
      expect(Buffer.concat(seen).includes('etc/passwd')).toBe(false)
    })
  })

  test('of which an object is cut is never taken for whole', async () => {
    const whole = OBJECTS[chunk('app/t1.ibd')]!
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async length => {
        const place = store({ ...OBJECTS, [chunk('app/t1.ibd')]: whole.subarray(0, length) })
        await expect(opened(place, source => collect(source.bytes()))).rejects.toMatchObject({
          code: expect.stringMatching(/^(?:source_truncated|source_corrupt|backup_incomplete)$/),
        })
        rmSync(place, { recursive: true })
      }),
      { numRuns: 20 },
    )
  })

  test('that is not there, or not whole, is told when it is opened', async () => {
    const { [chunk('ibdata1', 1)]: lost, ...rest } = OBJECTS
    expect(lost).toBeDefined()
    await expect(openStoredBackup(refTo(store(rest)), NO_SETTINGS)).rejects.toMatchObject({ code: 'backup_incomplete' })
    await expect(openStoredBackup({ ...refTo(store(OBJECTS)), id: 'b' }, NO_SETTINGS)).rejects.toMatchObject({
      code: 'source_missing',
    })
  })

  test('has another identity when any of its objects is another one', async () => {
    const place = store(OBJECTS)
    const before = await opened(place, source => source.identity())
    expect(await opened(place, source => source.identity())).toEqual(before)
    const path = join(place, chunk('app/t1.ibd'))
    const bytes = readFileSync(path)
    utimesSync(path, 5, 5)
    writeFileSync(path, bytes)
    utimesSync(path, 5, 5)
    expect(await opened(place, source => source.identity())).not.toEqual(before)
  })
})

function flipped(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes)
  other[5000]! ^= 1
  return other
}
