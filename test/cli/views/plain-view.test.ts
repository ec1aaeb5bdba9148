import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { createView } from '../../../src/cli/view.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { bodyOf, samplePlan, sampleState, T0 } from './sample-state.ts'

/** The lines for these states, without the date. */
function linesOf(states: readonly RestoreState[]): string[] {
  let written = ''
  const stderr = Object.assign(new EventEmitter(), { write: (text: string) => (written += text) })
  const view = createView({ kind: 'plain', color: false, unicode: false, stdout: stderr, stderr })
  for (const state of states) view.show(bodyOf(state))
  view.close()
  return written
    .split('\n')
    .slice(0, -1)
    .map(line => line.replace(/^2026-11-23T(.{8})Z /, '$1 '))
}

const at = (seconds: number, changes: Parameters<typeof sampleState>[0] = {}) =>
  sampleState({
    updatedAtMs: T0 + seconds * 1000,
    phase: 'preparing_backup',
    phaseStartedAtMs: T0 + 10_000,
    plan,
    chainLength: 2,
    position: 1,
    step: 'redo_apply',
    ...changes,
  })
const plan = samplePlan(2)

test('a whole restore, a line a change', () => {
  const extract = { phase: 'restoring_basebackup', phaseStartedAtMs: T0 + 1_000, step: null } as const
  const source = { readBytes: 5e9, totalBytes: 5e9 }
  expect(
    linesOf([
      sampleState(),
      at(1, extract),
      at(2, { ...extract, source, notices: ['the size is unknown'], progress: { phasePercent: 4 } }),
      at(9, { ...extract, source, progress: { phasePercent: 14 }, notices: ['the size is unknown'] }),
      at(10, { notices: ['the size is unknown'] }),
      at(11, { progress: { phasePercent: 3 }, notices: ['the size is unknown'] }),
      at(72, { progress: { phasePercent: 4.5, restorePercent: 41 }, notices: ['the size is unknown'] }),
      at(90, { phase: 'finalizing', phaseStartedAtMs: T0 + 90_000, step: 'verify' }),
      at(91, { status: 'succeeded', phase: 'completed', step: null }),
    ]),
  ).toEqual([
    '02:00:00 restore 0192-r1 starts, trace 4bf92f3577b34da6a3ce929d0e0e4736',
    '02:00:00 getting_backup_info started',
    '02:00:01 datadir /var/lib/mysql, with mariadb-backup 10.11.6',
    '02:00:01 getting_backup_info ended after 1s',
    '02:00:01 restoring_basebackup started (element 1 of 2)',
    '02:00:02 note: the size is unknown',
    '02:00:09 restoring_basebackup 14.0 %',
    '02:00:10 restoring_basebackup ended after 9s, 4.7 GiB read',
    '02:00:10 preparing_backup started (element 1 of 2)',
    '02:00:10 preparing_backup/redo_apply started',
    '02:01:12 preparing_backup/redo_apply 4.5 %, restore 41.0 %',
    '02:01:30 preparing_backup ended after 1m 20s',
    '02:01:30 finalizing started (element 1 of 2)',
    '02:01:30 finalizing/verify started',
    '02:01:31 finalizing ended after 1s',
    '02:01:31 restore succeeded after 1m 31s',
    '',
    'restored /var/lib/mysql in 1m 31s',
    '  phases    inspect 1s, extract 9s, prepare 1m 20s, finalize 1s',
    '  run dir   /var/lib/restore-agent/0192-r1',
    '  trace     4bf92f3577b34da6a3ce929d0e0e4736',
  ])
})

test('a success with an older backup names it', () => {
  const elements = ['/backups/older.xb', '/backups/older-inc.xb'].map(name => ({ name, description: { binlog: null } }))
  const older = samplePlan(2, { elements: elements as unknown as ReturnType<typeof samplePlan>['elements'] })
  const done = at(91, { status: 'succeeded', phase: 'completed', plan: older, backupIndex: 1 })
  expect(linesOf([done])).toContain('  backup    /backups/older.xb /backups/older-inc.xb, an older one')
})

test('one that an agent before began continues', () => {
  const [first] = linesOf([at(0, { attempt: 1, interruptions: 1 })])
  expect(first).toMatch(/restore \S+ continues, /)
})

test('quiet and stalled: begin and end, once each', () => {
  const quiet = { quietSinceMs: T0 + 20_000, lastProgressAtMs: T0 + 20_000, activity: 'dead' as const }
  const lines = linesOf([
    at(10),
    at(60, { progress: quiet }),
    at(61, { progress: quiet }),
    at(1830, { progress: { ...quiet, stalled: true } }),
    at(1831, { progress: { ...quiet, stalled: true } }),
    at(1840),
  ])
  expect(lines.slice(4)).toEqual([
    '02:01:00 preparing_backup/redo_apply quiet since 2026-11-23T02:00:20Z, no CPU, no I/O',
    '02:30:30 STALLED: preparing_backup/redo_apply made no progress for 30m 10s (limit 30m 00s), no CPU, no I/O',
    '02:30:30 hint: it may hang: look at its processes and the disk, or end it with Ctrl-C',
    '02:30:40 preparing_backup/redo_apply heard of again, was quiet for 30m 20s',
    '02:30:40 preparing_backup/redo_apply no longer stalled',
  ])
})

test('a quiet phase that ends is not heard of again in the next', () => {
  const quiet = { quietSinceMs: T0 + 20_000, activity: 'working' as const }
  const lines = linesOf([
    at(10),
    at(60, { progress: quiet }),
    at(61, { phase: 'finalizing', phaseStartedAtMs: T0 + 61_000, step: null }),
  ])
  expect(lines.slice(4)).toEqual([
    '02:01:00 preparing_backup/redo_apply quiet since 2026-11-23T02:00:20Z, still working',
    '02:01:01 preparing_backup ended after 51s',
    '02:01:01 finalizing started (element 1 of 2)',
  ])
})

test('a failure ends with where it was and the code', () => {
  const error = { code: 'disk_full', message: 'm', lastWords: [], hint: 'h' } as const
  expect(linesOf([at(10), at(30, { status: 'failed', phase: 'failed', error })]).slice(-2)).toEqual([
    '02:00:30 preparing_backup failed after 20s',
    '02:00:30 restore failed after 30s: disk_full',
  ])
})

test('without movement there is no line, however long', () => {
  const standing = { phasePercent: 55 }
  const lines = linesOf([at(10), at(11, { progress: standing }), at(5_000, { progress: standing })])
  expect(lines.filter(line => line.includes('%'))).toHaveLength(1)
})
