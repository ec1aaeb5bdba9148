import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { xtrabackupGrammar } from '../../src/tool/xtrabackup-grammar.ts'
import { countsOf, eventsOf, eventsOfPieces, only, stderrOf } from './transcripts.ts'

const parse = (name: string) => eventsOf(xtrabackupGrammar(), stderrOf(`xtrabackup/${name}`))
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => index + first)

const REST = { prepare_options: 2, version: 1, redo_found: 1, buffer_pool: 1, checkpoint: 1, redo_scanned: 653 }
const ENDED = { shutdown_started: 1, shutdown_completed: 1, completed_ok: 1 }
const ROLLED_BACK = { rollback_found: 1, rollback_started: 1, rollback_percent: 100, rollback_completed: 1 }

describe('captured recoveries', () => {
  test('one batch, then a rollback whose percents end glued to a timestamp', () => {
    const events = parse('8.0.35-single-batch-undo')
    expect(countsOf(events)).toEqual({
      ...REST,
      batch_started: 1,
      batch_percent: 10,
      batch_completed: 1,
      ...ROLLED_BACK,
      ...ENDED,
    })
    expect(only(events, 'version')).toEqual([{ type: 'version', version: '8.0.35-31' }])
    expect(only(events, 'buffer_pool')).toEqual([{ type: 'buffer_pool', bytes: 6442450944 }])
    expect(only(events, 'redo_found')).toEqual([{ type: 'redo_found', sizeBytes: 3847290880, startLsn: 1000820672 }])
    expect(only(events, 'checkpoint')).toEqual([{ type: 'checkpoint', lsn: 1000820672 }])
    const scans = only(events, 'redo_scanned')
    expect(scans[0]).toEqual({ type: 'redo_scanned', lsn: 1006063104 })
    expect(scans.at(-1)).toEqual({ type: 'redo_scanned', lsn: 4420670484 })
    expect(only(events, 'batch_started')).toEqual([{ type: 'batch_started', pages: 59277 }])
    expect(only(events, 'batch_percent').map(({ percent }) => percent)).toEqual([
      10, 20, 30, 40, 50, 60, 70, 80, 90, 100,
    ])
    expect(only(events, 'rollback_found')).toEqual([{ type: 'rollback_found', rows: 250000 }])
    expect(only(events, 'rollback_started')).toEqual([{ type: 'rollback_started', rows: 250000 }])
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(upTo(100))
    expect(events.at(-1)).toEqual({ type: 'completed_ok' })
  })

  test('ten batches', () => {
    const events = parse('8.0.35-multi-batch-undo')
    expect(countsOf(events)).toEqual({
      ...REST,
      batch_started: 10,
      batch_percent: 100,
      batch_completed: 10,
      ...ROLLED_BACK,
      ...ENDED,
    })
    expect(only(events, 'buffer_pool')[0]?.bytes).toBe(536870912)
    expect(only(events, 'redo_scanned').at(-1)?.lsn).toBe(4420670484)
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(upTo(100))
    expect(events.at(-1)?.type).toBe('completed_ok')
  })

  test('memory estimation, and rollback progress as lines of their own', () => {
    const events = parse('8.4.0-single-batch-undo-structured')
    expect(countsOf(events)).toEqual({
      ...REST,
      memory_estimate: 1,
      batch_started: 1,
      batch_percent: 10,
      batch_completed: 1,
      ...ROLLED_BACK,
      ...ENDED,
    })
    expect(only(events, 'memory_estimate')).toEqual([
      { type: 'memory_estimate', parseBytes: 3421503488, frames: 59277 },
    ])
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(upTo(100))
  })

  test('a pool too small: it starves inside the 32nd batch and never ends', () => {
    const events = parse('8.4.0-stalled-small-pool')
    expect(countsOf(events)).toEqual({
      ...REST,
      redo_scanned: 567,
      batch_started: 32,
      batch_percent: 310,
      batch_completed: 31,
      starved: 600,
    })
    expect(events.at(-1)).toEqual({ type: 'starved' })
  })
})

describe('what users pasted', () => {
  test('2.4: two InnoDB starts, two shutdowns, new redo files between them', () => {
    const events = parse('genuine/2.4.15-full-prepare.log')
    expect(events).toEqual([
      { type: 'prepare_options', applyLogOnly: null, newRedoBytes: 100663296 },
      { type: 'prepare_options', applyLogOnly: false, newRedoBytes: null },
      { type: 'version', version: '2.4.15' },
      { type: 'redo_found', sizeBytes: 8388608, startLsn: 1633057 },
      { type: 'buffer_pool', bytes: 104857600 },
      { type: 'shutdown_started' },
      { type: 'shutdown_completed', lsn: 1633076 },
      { type: 'redo_file_started', bytes: 50331648 },
      { type: 'redo_file_started', bytes: 50331648 },
      { type: 'redo_files_created' },
      { type: 'checkpoint', lsn: 1633292 },
      { type: 'redo_scanned', lsn: 1633301 },
      { type: 'first_pass_ended' },
      { type: 'shutdown_started' },
      { type: 'shutdown_completed', lsn: 1633320 },
      { type: 'completed_ok' },
    ])
  })

  test('2.4: percents of a batch on one line', () => {
    const events = parse('genuine/2.4-multi-batch-excerpt.log')
    expect(countsOf(events)).toEqual({
      redo_scanned: 5,
      batch_started: 2,
      batch_percent: 200,
      batch_completed: 1,
      rollback_found: 1,
    })
    expect(only(events, 'batch_started')[0]).toEqual({ type: 'batch_started', pages: null })
    expect(only(events, 'batch_percent').map(({ percent }) => percent)).toEqual([...upTo(99, 0), ...upTo(99, 0)])
  })

  test('no redo: one scan line and a batch of nothing', () => {
    expect(parse('genuine/8.0.3x-prepare-no-redo-excerpt.log')).toEqual([
      { type: 'redo_scanned', lsn: 34643695 },
      { type: 'batch_started', pages: 0 },
      { type: 'batch_completed' },
    ])
  })

  test('an LSN above 2^39, and argv[0] in front of the banner', () => {
    const events = parse('genuine/8.0.35-30-prepare-head.log')
    expect(events).toContainEqual({ type: 'version', version: '8.0.35-30' })
    expect(events).toContainEqual({ type: 'redo_found', sizeBytes: 8388608, startLsn: 811605143155 })
    expect(parse('genuine/8.0.3x-prepare-excerpt.log').at(-1)).toEqual({ type: 'completed_ok' })
  })
})

describe('lines that grow', () => {
  test('every percent is heard when it is written, not when the next one is', () => {
    const grammar = xtrabackupGrammar()
    const line = (last: number) =>
      `InnoDB: Progress in percents:${upTo(last)
        .map(percent => ` ${percent}`)
        .join('')}`
    for (let percent = 1; percent <= 100; percent++) {
      expect(grammar(line(percent), false)).toEqual([{ type: 'rollback_percent', percent }])
      expect(grammar(line(percent), false)).toEqual([])
    }
  })

  test('another line in between, and the rollback goes on behind it', () => {
    const text =
      'InnoDB: Rolling back trx with id 7, 5000 rows to undo\n\nInnoDB: Progress in percents: 1 2' +
      '2026-01-15T03:00:41.000000-00:00 0 [Note] [MY-013083] [InnoDB] Log background threads are being started...\n 3 4' +
      '2026-01-15T03:00:47.002000-00:00 0 [Note] [MY-013015] [InnoDB] Rollback of non-prepared transactions completed\n'
    const expected = [1, 2, 3, 4]
    for (const pieces of [[text], [...text]]) {
      const events = eventsOfPieces(xtrabackupGrammar(), pieces)
      expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(expected)
      expect(events.at(-1)).toEqual({ type: 'rollback_completed' })
    }
  })

  test('the second transaction counts from 1 again', () => {
    const one = (trx: number) =>
      `InnoDB: Rolling back trx with id ${trx}, 2000 rows to undo\n\nInnoDB: Progress in percents: 1 2 3\n`
    const events = eventsOf(xtrabackupGrammar(), one(1) + one(2))
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual([1, 2, 3, 1, 2, 3])
  })

  for (const name of ['8.0.35-single-batch-undo', 'genuine/2.4-multi-batch-excerpt.log']) {
    test(`${name} gives the same events wherever it is cut`, () => {
      const text = stderrOf(`xtrabackup/${name}`)
      const whole = eventsOf(xtrabackupGrammar(), text)
      const tail = text.length - 4000
      fc.assert(
        // Half of the cuts fall into the end of the file, where the rollback is.
        fc.property(
          fc.array(fc.oneof(fc.nat(text.length), fc.integer({ min: Math.max(0, tail), max: text.length })), {
            maxLength: 300,
          }),
          cuts => {
            const ends = [...cuts.sort((left, right) => left - right), text.length]
            const pieces = ends.map((end, index) => text.slice(index === 0 ? 0 : ends[index - 1], end))
            expect(eventsOfPieces(xtrabackupGrammar(), pieces)).toEqual(whole)
          },
        ),
        { numRuns: 40 },
      )
    })

    test(`${name} byte by byte`, () => {
      const text = stderrOf(`xtrabackup/${name}`).slice(-6000)
      const rollback = 'InnoDB: Rolling back trx with id 52953, 250000 rows to undo\n'
      const whole = eventsOf(xtrabackupGrammar(), rollback + text)
      expect(eventsOfPieces(xtrabackupGrammar(), [rollback, ...text])).toEqual(whole)
    })
  }
})

test('files, one event each, in the wordings before and since 8.0.28', () => {
  const lines = [
    '190822 17:47:29 [01] Moving ./ibdata1 to /d/ibdata1',
    '190822 17:47:29 [01]        ...done',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Moving ./a/t.ibd to /d/a/t.ibd',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Done: Moving file ./a/t.ibd to /d/a/t.ibd',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Moving ./b.ibd to /d/b.ibd',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Copying ./b.ibd to /d/b.ibd',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Done: Copying ./b.ibd to /d/b.ibd',
    '2026-01-15T03:00:01.000000-00:00 1 [Note] [MY-011825] [Xtrabackup] Removing ./b.ibd',
    '2026-01-15T03:00:01.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] Applying /inc/1/app/t1.ibd.delta to ./app/t1.ibd',
    '2026-01-15T03:00:01.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] decompressing ./app/t1.ibd.zst',
    '2026-01-15T03:00:01.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] removing ./app/t1.ibd.zst',
  ]
  expect(eventsOf(xtrabackupGrammar(), lines.join('\n'))).toEqual([
    { type: 'file_started', file: './ibdata1' },
    { type: 'file_done' },
    { type: 'file_started', file: './a/t.ibd' },
    { type: 'file_done' },
    { type: 'file_started', file: './b.ibd' },
    { type: 'file_done' },
    { type: 'delta_apply', file: 'app/t1.ibd.delta' },
    { type: 'file_started', file: './app/t1.ibd.zst' },
    { type: 'file_done' },
  ])
})

test('unknown errors and warnings are passed on, notes are not', () => {
  const prefix = (level: string) => `2026-01-15T03:00:01.000000-00:00 0 [${level}] [MY-000001] [InnoDB] something else`
  expect(eventsOf(xtrabackupGrammar(), ['ERROR', 'Warning', 'Note'].map(prefix).join('\n'))).toEqual([
    { type: 'complaint', level: 'error', text: 'something else' },
    { type: 'complaint', level: 'warning', text: 'something else' },
  ])
})

test('any text at all is survived', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), fc.boolean(), (line, complete) => {
      for (const event of xtrabackupGrammar()(line, complete)) expect(typeof event.type).toBe('string')
    }),
  )
})

test('100,000 lines of a flood, and of every other kind, in less than a second of CPU each', () => {
  for (const name of ['8.4.0-stalled-small-pool', '8.0.35-single-batch-undo']) {
    const lines = stderrOf(`xtrabackup/${name}`).split('\n')
    const grammar = xtrabackupGrammar()
    const before = process.cpuUsage()
    for (let index = 0; index < 100_000; index++) grammar(lines[index % lines.length] ?? '', true)
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000)
  }
})
