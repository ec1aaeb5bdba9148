import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli/run-cli.ts'
import { xbcloudObjects } from '../fixtures/xbcloud-objects.ts'
import { xbstream } from '../fixtures/xbstream-writer.ts'
import { FIXTURES } from '../layout/listings.ts'
import { captureOutput } from '../support/capture-output.ts'
import { scratch } from '../support/scratch.ts'

const checkpoints = (from: number, to: number) =>
  Buffer.from(
    `backup_type = ${from === 0 ? 'full-backuped' : 'incremental'}\nfrom_lsn = ${from}\nto_lsn = ${to}\nlast_lsn = ${to}\n`,
  )

const backup = (id: string, from: number, to: number, file: string) =>
  xbcloudObjects(
    id,
    xbstream({
      [file]: Buffer.alloc(5000),
      xtrabackup_checkpoints: checkpoints(from, to),
      xtrabackup_info: Buffer.from('uuid = 1\n'),
    }),
  )

function placeWith(objects: Readonly<Record<string, Buffer>>): string {
  const place = scratch()
  for (const [key, bytes] of Object.entries(objects)) {
    mkdirSync(dirname(join(place, key)), { recursive: true })
    writeFileSync(join(place, key), bytes)
  }
  return place
}

const FULL = 'c-2026-01-01-03:00:00-full'
const CHAIN = {
  ...backup(FULL, 0, 100, 'ibdata1'),
  ...backup(`${FULL}.incr/c-2026-01-02-03:00:00-incr`, 100, 200, 'ibdata1.delta'),
  ...backup(`${FULL}.incr/c-2026-01-03-03:00:00-incr`, 200, 300, 'ibdata1.delta'),
}

const said = captureOutput()

describe('restore-agent list', () => {
  test('draws a chain as a tree, with what is missing', async () => {
    const { [`${FULL}.incr/c-2026-01-03-03:00:00-incr/ibdata1.delta.00000000000000000000`]: _, ...objects } = CHAIN
    const place = placeWith(objects)
    expect(await runCli(['list', place])).toBe(0)
    const lines = said.stdout.trimEnd().split('\n')
    expect(lines[0]).toBe(`${place}: 3 backups, layout xbcloud`)
    expect(lines[1]).toMatch(/^NAME +TIME +KIND +STORED +STATE$/)
    expect(lines[2]).toMatch(/^c-2026-01-01-03:00:00-full +2026-01-01T03:00:00Z {2}full +\S+ KiB {2}complete$/)
    expect(lines[3]).toMatch(/^└─ c-2026-01-01.*-incr +2026-01-02T03:00:00Z {2}incremental +\S+ KiB {2}complete$/)
    expect(lines[4]).toMatch(/^ {3}└─ c-2026-01-01.*-incr +.* chunks are missing of ibdata1.delta$/)
  })

  test('gives the same as JSON', async () => {
    await runCli(['list', placeWith(CHAIN), '--json'])
    expect(JSON.parse(said.stdout)).toMatchObject({
      schema: 1,
      type: 'place',
      layout: 'xbcloud',
      backups: [
        { name: FULL, time: '2026-01-01T03:00:00Z', kind: 'full', base: null, complete: true, problem: null },
        { base: FULL, from_lsn: 100, to_lsn: 200 },
        { base: `${FULL}.incr/c-2026-01-02-03:00:00-incr`, files: 3 },
      ],
    })
  })

  test('lists real stores of wal-g, by the layout that it is told or finds', async () => {
    await runCli(['list', join(FIXTURES, 'wal-g')])
    const found = said.stdout
    expect(found).toContain('4 backups, layout wal-g')
    await runCli(['list', join(FIXTURES, 'wal-g'), '--layout', 'wal-g'])
    expect(said.stdout).toBe(found + found)
  })

  test.each([
    ['an empty place', {}, [], 'backup_missing', 39],
    ['a place of nothing that is known', { 'notes/a.bin': Buffer.from('x') }, [], 'source_unknown', 22],
    ['a place of SQL dumps', { 'a.sql.gz': Buffer.from('x') }, [], 'source_unknown', 22],
    ['an unknown layout', CHAIN, ['--layout', 'nonsense'], 'usage', 2],
  ])('refuses %s', async (_, objects, flags, code, exit) => {
    expect(await runCli(['list', placeWith(objects), ...flags])).toBe(exit)
    expect(said.stderr).toContain(`error ${code}:`)
  })

  test('names that deceive a terminal are shown safely', async () => {
    const place = placeWith({ 'a\u001b[2Jb.xb': Buffer.from('x') })
    expect(await runCli(['list', place])).toBe(0)
    expect(said.stdout).not.toContain('\u001b')
  })
})
