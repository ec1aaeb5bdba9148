import { expect, test } from 'vitest'
import { summaryLines } from '../../src/cli/views/summary.ts'
import { restoreBody, restoreStatusBody } from '../../src/server/restore-body.ts'
import { samplePlan, sampleState } from '../support/samples.ts'

const file = (name: string, from: number, to: number) => ({
  ...{ name, key: name, bytes: to, crc32: 1, from, to, transactions: 5, firstCommitAtMs: 0, lastCommitAtMs: 1000 },
})
const binlogs = {
  family: 'mariadb',
  serverVersion: '10.11.19-MariaDB',
  serverId: 7,
  checksums: true,
  target: '2026-01-15T03:00:00Z',
  start: { file: 'b.000001', position: 100, gtid: '0-7-1' },
  stop: { file: 'b.000003', position: 300, gtid: '0-7-16' },
  files: [file('b.000001', 100, 500), file('b.000002', 4, 404), file('b.000003', 4, 304)],
  transactions: 15,
  bytes: 1100,
  firstCommitAtMs: 0,
  dataAsOfMs: 1000,
  leftOut: { gtid: '0-7-17', committedAtMs: Date.parse('2026-01-15T03:00:01Z') },
  beyondTarget: null,
  xaPrepared: [],
  xaEnded: [],
  notices: [],
} as const

const bodyAt = (appliedBytes: number | null, phase: 'applying_binlogs' | 'finalizing' | 'completed') =>
  restoreBody(
    sampleState({
      phase,
      status: phase === 'completed' ? 'succeeded' : 'running',
      plan: { ...samplePlan(), binlogs },
      binlogs: { appliedBytes, transactions: 7, dataAsOfMs: Date.parse('2026-01-15T02:59:59Z'), readAtMs: null },
    }),
    { backup: 'full' },
  )

test.each([
  [null, { binlogs_being_restored: 1, binlogs_pending: 2, binlogs_restored: 0 }],
  [399, { binlogs_being_restored: 1, binlogs_pending: 2, binlogs_restored: 0 }],
  [400, { binlogs_being_restored: 1, binlogs_pending: 1, binlogs_restored: 1 }],
  [1100, { binlogs_being_restored: 0, binlogs_pending: 0, binlogs_restored: 3 }],
])('with %s bytes applied, MyHoard’s status counts the binlogs', (appliedBytes, counts) => {
  expect(restoreStatusBody(bodyAt(appliedBytes, 'applying_binlogs'))).toMatchObject(counts)
})

test('the body says how far it is, of what, and as of when; without binlogs nothing', () => {
  expect(bodyAt(800, 'applying_binlogs').recovery).toEqual({
    target: '2026-01-15T03:00:00Z',
    data_as_of: '2026-01-15T02:59:59.000Z',
    transactions: 7,
    transactions_total: 15,
    gtid: '0-7-16',
    left_out_from: '2026-01-15T03:00:01.000Z',
    bytes: 800,
    bytes_total: 1100,
    binlogs_restored: 2,
    binlogs_total: 3,
  })
  expect(restoreBody(sampleState({ plan: samplePlan() }), { backup: '' }).recovery).toBeNull()
})

test('the summary says as of when the data are, and what was left out', () => {
  const lines = summaryLines(bodyAt(1100, 'completed'), { phases: [] } as never).join('\n')
  expect(lines).toMatch(/ {2}data {6}as of 2026-01-15T02:59:59Z/)
  expect(lines).toMatch(/ {2}binlogs {3}7 transactions of 3 files, to 2026-01-15T03:00:00Z/)
  expect(lines).toMatch(/ {2}left out {2}what was committed from 2026-01-15T03:00:01Z on/)
  expect(lines).toMatch(/ {2}gtid {6}0-7-16/)
})
