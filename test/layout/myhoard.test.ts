import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recognisedLayout } from '../../src/layout/layouts.ts'
import { myhoard } from '../../src/layout/myhoard.ts'
import { backupsOf, listed } from './listings.ts'

/** From documented bytes: the keys and JSON that MyHoard's backup_stream.py writes (7f2e070). */
const UUID = '7fba6afa-83f8-43e5-a565-0c6ab43386af'
const NEW = `site/2026-06-17T03:00:00.647931+00:00_${UUID}`
const OLD = `site/2024-11-14T03:00:00+00:00Z_${UUID}`

const info = (more: object = {}) =>
  JSON.stringify({
    checkpoints_file_content: 'backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 100\nlast_lsn = 110\n',
    compressed_size: 9,
    encryption_key: 'ab'.repeat(256),
    end_size: 1000,
    end_ts: 1781666000.5,
    incremental: false,
    number_of_files: 12,
    number_of_splits: 3,
    required_streams: null,
    ...more,
  })

const stream = (id: string, more: object = {}): Record<string, string> => ({
  [`${id}/basebackup.xbstream`]: 'abcd',
  [`${id}/basebackup.xbstream.002`]: 'abcd',
  [`${id}/basebackup.xbstream.003`]: 'e',
  [`${id}/basebackup.json`]: info(more),
  [`${id}/completed.json`]: '{"completed_at": 1781666001}',
  [`${id}/binlogs/0/1_2`]: 'binlog',
})

describe('a store of MyHoard', () => {
  test.each([NEW, OLD])('with the stream id %s is recognised, with its slices in order', id => {
    expect(recognisedLayout(listed(stream(id)))).toBe(myhoard)
    const [backup] = backupsOf(myhoard, stream(id))
    expect(backup).toMatchObject({
      id,
      timeMs: 1781666000500,
      kind: 'full',
      toLsn: 100,
      storedBytes: 9,
      files: 12,
      complete: true,
      problem: null,
      keys: ["MyHoard's RSA private key"],
    })
    expect(backup!.assemble()).toMatchObject({
      keys: [`${id}/basebackup.xbstream`, `${id}/basebackup.xbstream.002`, `${id}/basebackup.xbstream.003`],
    })
  })

  test.each([
    [NEW, Date.UTC(2026, 5, 17, 3, 0, 0, 647)],
    [OLD, Date.UTC(2024, 10, 14, 3)],
  ])('without end_ts the time is that of the id %s', (id, timeMs) => {
    expect(backupsOf(myhoard, stream(id, { end_ts: null }))[0]!.timeMs).toBe(timeMs)
  })

  test.each([
    ['basebackup.xbstream.002', /^basebackup.xbstream.002 is missing$/],
    ['completed.json', /^it has no completed.json/],
    ['basebackup.json', /^there is no .*basebackup.json$/],
  ])('without %s is not complete', (name, message) => {
    const { [`${NEW}/${name}`]: lost, ...objects } = stream(NEW)
    expect(lost).toBeDefined()
    const [backup] = backupsOf(myhoard, objects)
    expect(backup).toMatchObject({ complete: false, problem: { code: 'backup_incomplete' } })
    expect(backup!.problem!.message).toMatch(message)
  })

  test('whose last slice is cut is not complete', () => {
    const objects = { ...stream(NEW), [`${NEW}/basebackup.xbstream.003`]: '' }
    expect(backupsOf(myhoard, objects)[0]!.problem?.message).toBe('its 3 slices are 8 bytes, and were 9')
  })

  test('marked as broken is not restored; preserved is told', () => {
    const marks = {
      [`${NEW}/broken.json`]: '{"broken_at": 1}',
      [`${NEW}/preserved.json`]: '{"preserve_until": "2030-01-01T00:00:00+00:00"}',
    }
    expect(backupsOf(myhoard, { ...stream(NEW), ...marks })[0]).toMatchObject({
      problem: { message: 'MyHoard has marked it as broken (broken.json)' },
      note: 'preserved until 2030-01-01T00:00:00+00:00',
    })
  })

  test('links an incremental to the last stream that it requires', () => {
    const full = `site/2026-06-17T03:00:00+00:00_${UUID}`
    const inc = `site/2026-06-18T03:00:00+00:00_${UUID}`
    const chain = {
      ...stream(full),
      ...stream(inc, { incremental: true, end_ts: 1781766000, required_streams: [full.slice(5)] }),
    }
    expect(backupsOf(myhoard, chain)[1]).toMatchObject({ kind: 'incremental', baseId: full, problem: null })
    const { [`${full}/completed.json`]: _, ...broken } = chain
    expect(backupsOf(myhoard, broken)[1]!.problem?.message).toContain(`its base ${full} cannot be restored`)
  })

  test('with whatever in its JSON throws nothing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), fc.json(), (one, two) => {
        const objects = { ...stream(NEW), [`${NEW}/basebackup.json`]: one, [`${NEW}/broken.json`]: two }
        expect(backupsOf(myhoard, objects)).toHaveLength(1)
      }),
    )
  })
})
