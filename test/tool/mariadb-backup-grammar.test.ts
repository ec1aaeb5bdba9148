import { describe, expect, test } from 'vitest'
import { extractGrammar } from '../../src/tool/extract-grammar.ts'
import { mariadbBackupGrammar } from '../../src/tool/mariadb-backup-grammar.ts'
import { countsOf, eventsOf, eventsOfPieces, foldersOf, only, stderrOf } from './transcripts.ts'

const parse = (name: string) => eventsOf(mariadbBackupGrammar(), stderrOf(`mariadb/${name}`))
const RUN = { version: 1, buffer_pool: 1, checkpoint: 1, end_of_log: 1, completed_ok: 1 }

describe('long prepares', () => {
  test('10.11, many batches', () => {
    const events = parse('big-64m')
    expect(countsOf(events)).toEqual({ ...RUN, multi_batch: 1, pages_left: 35, shutdown_started: 1 })
    expect(only(events, 'version')).toEqual([{ type: 'version', version: '10.11.19-MariaDB' }])
    expect(only(events, 'buffer_pool')).toEqual([{ type: 'buffer_pool', bytes: 67108864 }])
    expect(only(events, 'checkpoint')).toEqual([{ type: 'checkpoint', lsn: 491585376 }])
    expect(only(events, 'multi_batch')).toEqual([{ type: 'multi_batch', lsn: 546255089 }])
    expect(only(events, 'end_of_log')).toEqual([{ type: 'end_of_log', lsn: 3025368968 }])
    expect(only(events, 'pages_left')[0]).toEqual({
      type: 'pages_left',
      pages: 3708,
      lsn: 546332813,
      endLsn: 3025368968,
    })
    expect(only(events, 'pages_left').at(-1)).toEqual({ type: 'pages_left', pages: 13505, lsn: null, endLsn: null })
    expect(events.at(-1)).toEqual({ type: 'completed_ok' })
  })

  test('10.11 on a slow disk: the first pass over the redo is seen', () => {
    const events = parse('big-64m-slow')
    expect(countsOf(events)).toEqual({ ...RUN, multi_batch: 1, redo_scanned: 2, pages_left: 35, shutdown_started: 1 })
  })

  test('11.8: pages left repeat inside a batch, no shutdown line', () => {
    const events = parse('b118-1g-slow')
    expect(countsOf(events)).toEqual({ ...RUN, multi_batch: 1, pages_left: 3, redo_scanned: 1 })
    expect(only(events, 'redo_scanned')).toEqual([{ type: 'redo_scanned', lsn: 1131724687 }])
    expect(only(events, 'pages_left').map(({ pages }) => pages)).toEqual([59746, 66686, 42366])
  })

  test('11.8, small and large pool', () => {
    expect(countsOf(parse('b118-32m'))).toEqual({ ...RUN, multi_batch: 1, pages_left: 67 })
    expect(countsOf(parse('b118-4g-cold'))).toEqual({ ...RUN, redo_scanned: 3, pages_left: 1 })
  })
})

describe('chains', () => {
  test('deltas are named as in the incremental, .new files are not deltas', () => {
    const events = parse('inc118-2-inc1')
    expect(countsOf(events)).toEqual({
      ...RUN,
      delta_apply: 16,
      pages_left: 1,
      file_started: 203,
      file_done: 203,
    })
    expect(
      only(events, 'delta_apply')
        .slice(0, 5)
        .map(({ file }) => file),
    ).toEqual(['undo003.delta', 'undo002.delta', 'ibdata1.delta', 'undo001.delta', 'mysql/gtid_slave_pos.ibd.delta'])
    expect(only(parse('inc-chain-2-inc1'), 'delta_apply')).toHaveLength(5)
    expect(only(parse('inc-chain-3-inc2'), 'delta_apply')).toHaveLength(10)
  })
})

describe('move-back', () => {
  test('renaming and copying: one file_started and one file_done each', () => {
    expect(countsOf(parse('tiny118-moveback'))).toEqual({
      version: 1,
      file_started: 220,
      file_done: 220,
      completed_ok: 1,
    })
    expect(countsOf(parse('moveback-cross-fs'))).toEqual({
      version: 1,
      file_started: 216,
      file_done: 216,
      completed_ok: 1,
    })
  })
})

test.each([
  ['chain2-2-inc1-again', 'chain_broken', 'This incremental backup seems not to be proper for the target.'],
  ['copyback-disk-full', 'disk_full', "Error writing file '$LAB/mnt/mb/./ibdata1' (errno: 28"],
  ['moveback-missing-target', 'target_lost', "Can't change dir to '$LAB/x/nonexist/'"],
  ['moveback-no-datadir', 'datadir_not_empty', 'Original data directory /var/lib/mysql is not empty!'],
  ['moveback-nonempty', 'datadir_not_empty', 'Original data directory $LAB/x/dd is not empty!'],
  ['prepare-disk-full', 'disk_full', 'preallocating 46137344 bytes for file app1/t2.ibd failed with error 28'],
  ['prepare-empty-dir', 'backup_incomplete', "Can't open backup-my.cnf for reading"],
  ['prepare-foreign-xtrabackup-dir', 'backup_incomplete', "Can't open backup-my.cnf for reading"],
  ['prepare-missing-checkpoints', 'backup_incomplete', 'cannot open ./xtrabackup_checkpoints'],
  ['prepare-wrong-version-10.11-on-11.8', 'backup_incomplete', 'cannot open ./xtrabackup_checkpoints'],
  ['prepare-missing-dir', 'target_lost', "Can't change dir to '$LAB/x/nonexist/'"],
  ['prepare-missing-redo', 'backup_incomplete', 'File ./ib_logfile0 was not found'],
  ['prepare-truncated-redo-118', 'redo_incomplete', 'Missing FILE_CHECKPOINT(45157) at 66766'],
  ['extract-corrupt-magic', 'source_corrupt', 'wrong chunk magic at offset 0xffefd6'],
  ['extract-corrupt-payload', 'source_corrupt', 'invalid checksum at offset 0x4c245'],
  ['extract-disk-full', 'disk_full', "Error writing file './ibdata1' (Errcode: 28"],
  ['extract-garbage', 'source_unknown', 'wrong chunk magic at offset 0x0.'],
  ['extract-missing-dir', 'target_lost', "Can't change dir to 'x/nonexist'"],
  ['extract-nonempty-dir', 'target_not_new', "Can't create/write to file './aria_log_control' (Errcode: 17"],
  ['extract-trunc', 'source_truncated', 'my_read() failed'],
  ['extract-wrongkey-openssl-cbc', 'source_unknown', 'wrong chunk magic at offset 0x0.'],
])('%s: the first failure is %s', (name, code, words) => {
  const grammar = name.startsWith('extract') ? extractGrammar() : mariadbBackupGrammar()
  const failures = only(eventsOf(grammar, stderrOf(`mariadb/${name}`)), 'failure')
  expect(failures[0]?.code).toBe(code)
  expect(failures[0]?.text).toContain(words)
  // mysys rings the bell: no control character may reach a terminal.
  expect(failures[0]?.text).not.toContain('\x07')
})

test('runs that exit 0 name no failure, whatever their LSNs say', () => {
  for (const name of [
    'prepare-corrupt-redo',
    'prepare-already-prepared',
    'prepare-rerun-after-sigkill',
    'prepare-rerun-after-disk-full',
    'tiny-prepare',
    'tiny118-prepare',
    'inc-chain-1-base',
    'inc118-1-base',
  ]) {
    const events = parse(name)
    expect(only(events, 'failure'), name).toEqual([])
    expect(events.at(-1), name).toEqual({ type: 'completed_ok' })
  }
  expect(only(parse('prepare-corrupt-redo'), 'end_of_log')[0]?.lsn).toBe(46396)
  expect(only(parse('prepare-sigkill'), 'completed_ok')).toEqual([])
})

test('every transcript, byte by byte, gives what it gives line by line', () => {
  for (const name of foldersOf('mariadb')) {
    const text = stderrOf(`mariadb/${name}`)
    expect(eventsOfPieces(mariadbBackupGrammar(), text), name).toEqual(eventsOf(mariadbBackupGrammar(), text))
  }
})
