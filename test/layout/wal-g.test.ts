import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recognisedLayout } from '../../src/layout/layouts.ts'
import { walG } from '../../src/layout/wal-g.ts'
import { backupsOf, FIXTURES, listed, objectsIn } from './listings.ts'

const STREAM = 'basebackups_005/stream_20261127T162910Z'
const store = (kind: string) => objectsIn(join(FIXTURES, 'wal-g', kind))

describe('a real store of wal-g', () => {
  test.each([
    ['lz4', 'stream_20261127T162908Z', 'stream.lz4'],
    ['lzma', 'stream_20261127T162909Z', 'stream.lzma'],
    ['zstd', 'stream_20261127T162910Z', 'stream.zst'],
  ])('of one stream in %s', (kind, id, file) => {
    expect(recognisedLayout(listed(store(kind)))).toBe(walG)
    const [backup, ...others] = backupsOf(walG, store(kind))
    expect(others).toEqual([])
    expect(backup).toMatchObject({ id, kind: 'full', complete: true, problem: null, extractedBytes: 18405824 })
    expect(new Date(backup!.timeMs!).toISOString()).toMatch(/^2026-11-27T16:29:/)
    expect(backup!.assemble()).toEqual({ kind: 'concatenated', keys: [`basebackups_005/${id}/${file}`] })
  })

  test('of split-merge is put together from its parts', () => {
    expect(backupsOf(walG, store('split'))[0]!.assemble()).toEqual({
      kind: 'striped',
      parts: [[`${STREAM}/part_0000.zst`], [`${STREAM}/part_0001.zst`], [`${STREAM}/part_0002.zst`]],
      blockBytes: 65536,
    })
  })

  test.each([
    ['the sentinel', `${STREAM}_backup_stop_sentinel.json`, /_backup_stop_sentinel.json, which wal-g stores/],
    ['a part', `${STREAM}/part_0001.zst`, /^part 1 of 3 is missing$/],
    ['stream_metadata.json', `${STREAM}/stream_metadata.json`, /^it has no stream_metadata.json$/],
  ])('without %s is not complete', (_, key, message) => {
    const { [key]: lost, ...objects } = store('split')
    expect(lost).toBeDefined()
    const [backup] = backupsOf(walG, objects)
    expect(backup).toMatchObject({ complete: false, problem: { code: 'backup_incomplete' } })
    expect(backup!.problem!.message).toMatch(message)
  })
})

const sentinel = (more: object) => JSON.stringify({ StopLocalTime: '2026-01-01T00:00:00Z', LSN: 5, ...more })

describe('a store of wal-g', () => {
  test('with several files a part gives them in order, and shows a hole', () => {
    const objects: Record<string, string> = {
      'p/basebackups_005/b_backup_stop_sentinel.json': sentinel({}),
      'p/basebackups_005/b/stream_metadata.json': JSON.stringify({
        type: 'SPLIT_MERGE_STREAM_BACKUP',
        partitions: 2,
        block_size: 7,
      }),
    }
    for (const name of ['0000_0001', '0001_0000', '0000_0000', '0000_0002'])
      objects[`p/basebackups_005/b/part_${name}.br`] = 'x'
    const [backup] = backupsOf(walG, objects)
    expect(backup).toMatchObject({ id: 'p/b', problem: null })
    const key = (name: string) => `p/basebackups_005/b/part_${name}.br`
    expect(backup!.assemble()).toMatchObject({
      parts: [[key('0000_0000'), key('0000_0001'), key('0000_0002')], [key('0001_0000')]],
    })
    delete objects[key('0000_0001')]
    expect(backupsOf(walG, objects)[0]!.problem?.message).toMatch(/a file of part 0 is missing/)
  })

  test('links an incremental to the backup that its sentinel names', () => {
    const objects = {
      'basebackups_005/a_backup_stop_sentinel.json': sentinel({ IsIncremental: false }),
      'basebackups_005/a/stream.br': 'x',
      'basebackups_005/b_backup_stop_sentinel.json': sentinel({
        StopLocalTime: '2026-01-02T00:00:00Z',
        IsIncremental: true,
        DeltaFrom: 'a',
        DeltaLSN: 5,
        DeltaCount: 1,
      }),
      'basebackups_005/b/stream.br': 'x',
    }
    expect(backupsOf(walG, objects)).toMatchObject([
      { id: 'a', kind: 'full' },
      { id: 'b', kind: 'incremental', baseId: 'a', problem: null },
    ])
    const { 'basebackups_005/a/stream.br': _, ...broken } = objects
    expect(backupsOf(walG, broken)[1]!.problem?.message).toBe('its base a cannot be restored: it has no stream')
  })

  test('with whatever in its JSON throws nothing', () => {
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      fc.constantFrom('{"type":"SPLIT_MERGE_STREAM_BACKUP","partitions":1e9,"block_size":1}'),
    )
    fc.assert(
      fc.property(text, text, (one, two) => {
        const objects = {
          'basebackups_005/a_backup_stop_sentinel.json': one,
          'basebackups_005/a/stream_metadata.json': two,
          'basebackups_005/a/part_0000.br': 'x',
        }
        expect(backupsOf(walG, objects)).toHaveLength(1)
      }),
    )
  })
})
