import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { createView } from '../../../src/cli/view.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { bodyOf, preparing, T0 } from './sample-state.ts'

function written(states: readonly RestoreState[], waiting: (index: number) => number = () => 0) {
  let text = ''
  const stdout = Object.assign(new EventEmitter(), { write: (line: string) => (text += line), writableLength: 0 })
  const stderr = Object.assign(new EventEmitter(), {
    write: () => {
      throw new Error('nothing belongs on stderr')
    },
  })
  const view = createView({ kind: 'json', color: false, unicode: true, stdout, stderr })
  for (const [index, state] of states.entries()) {
    stdout.writableLength = waiting(index)
    view.show(bodyOf(state))
  }
  view.close()
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}

test('every field, under the names that are promised', () => {
  const state = preparing({
    source: { readBytes: 5, totalBytes: 10 },
    redo: { scannedLsn: 1, appliedLsn: 2, targetLsn: 3 },
    progress: {
      phasePercent: 99.9999,
      scanPercent: 100,
      eta: { atMs: T0 + 60_000, earliestMs: T0 + 30_000, latestMs: T0 + 90_000 },
      quietSinceMs: T0 - 5_000,
    },
  })
  expect(written([state])).toEqual([
    {
      schema: 1,
      type: 'state',
      time: '2026-11-23T02:00:00.000Z',
      restore_id: '0192-r1',
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      status: 'running',
      attempt: 1,
      phase: 'preparing_backup',
      phase_started_at: '2026-11-23T02:00:00.000Z',
      step: 'redo_scan',
      chain_position: 1,
      chain_length: 1,
      percent: 99.99,
      restore_percent: null,
      scan_percent: 100,
      eta: '2026-11-23T02:01:00.000Z',
      eta_earliest: '2026-11-23T02:00:30.000Z',
      eta_latest: '2026-11-23T02:01:30.000Z',
      deadline: null,
      last_progress_at: '2026-11-23T02:00:00.000Z',
      last_activity_at: '2026-11-23T02:00:00.000Z',
      quiet_since: '2026-11-23T01:59:55.000Z',
      activity: 'progressing',
      stalled: false,
      stall_threshold_seconds: 1800,
      source_read_bytes: 5,
      source_total_bytes: 10,
      source_transfer: null,
      redo_scanned_lsn: 1,
      redo_applied_lsn: 2,
      redo_target_lsn: 3,
      rollback_rows: null,
      recovery: null,
      datadir: '/var/lib/mysql',
      notices: [],
      error: null,
    },
  ])
})

test('a line a change, none for the rest', () => {
  const error = { code: 'disk_full', message: 'm', lastWords: ['w'], hint: 'h' } as const
  const lines = written([
    preparing(),
    preparing(),
    preparing({ progress: { phasePercent: 3.1 } }),
    preparing({ progress: { phasePercent: 3.9 } }),
    preparing({ progress: { phasePercent: 4 } }),
    preparing({ progress: { phasePercent: 4, stalled: true } }),
    preparing({ progress: { phasePercent: 4 }, step: 'redo_apply' }),
    preparing({ status: 'failed', phase: 'failed', error }),
    preparing({ status: 'failed', phase: 'failed', error }),
  ])
  expect(lines.map(line => [line.phase, line.step, line.percent, line.stalled])).toEqual([
    ['preparing_backup', 'redo_scan', null, false],
    ['preparing_backup', 'redo_scan', 3.1, false],
    ['preparing_backup', 'redo_scan', 4, false],
    ['preparing_backup', 'redo_scan', 4, true],
    ['preparing_backup', 'redo_apply', 4, false],
    ['failed', null, null, false],
  ])
  expect(lines.at(-1).error).toEqual({ code: 'disk_full', message: 'm', last_words: ['w'], hint: 'h', exit_code: 40 })
})

test('a success ends with a summary', () => {
  const plan = {
    ...preparing().plan!,
    elements: [
      {
        name: '/b/full',
        description: { kind: 'full', storedBytes: 9, binlog: { file: 'b.1', position: 4, gtid: null } },
      },
    ],
  } as unknown as RestoreState['plan']
  const lines = written([
    preparing(),
    preparing({ plan, status: 'succeeded', phase: 'completed', updatedAtMs: T0 + 90_500 }),
  ])
  expect(lines.at(-1)).toMatchObject({
    type: 'summary',
    status: 'succeeded',
    backup: ['/b/full'],
    seconds: 90.5,
    phases: [{ phase: 'preparing_backup', chain_position: 1, seconds: 90.5 }],
    binlog: { file: 'b.1', position: 4, gtid: null },
    run_dir: '/var/lib/restore-agent/0192-r1',
  })
})

test('a reader that sleeps loses lines in between, never the last', () => {
  const states = [1, 2, 3, 4].map(phasePercent => preparing({ progress: { phasePercent } }))
  expect(written(states, index => (index > 0 ? 1e9 : 0)).map(line => line.percent)).toEqual([1, 4])
})
