import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { endOfRedoIn, judgeCapture } from '../../scripts/judge-capture.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { createLineSplitter } from '../../src/process/line-splitter.ts'
import type { Grammar, ToolEvent } from '../../src/tool/events.ts'
import { judgeExit } from '../../src/tool/judge-exit.ts'
import { xtrabackupGrammar } from '../../src/tool/xtrabackup-grammar.ts'
import { countsOf, eventsOf, foldersOf, only, stderrOf, transcriptDir } from './transcripts.ts'

/** Real runs of Percona XtraBackup 2.4.20: every capture is read, and gives what happened in it. */

const DIR = 'xtrabackup-2.4'
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => index + first)
const lineOf = (name: string, file: string) => readFileSync(`${transcriptDir(`${DIR}/${name}`)}/${file}`, 'utf8')
const parse = (name: string, grammar = xtrabackupGrammar()) => eventsOf(grammar, stderrOf(`${DIR}/${name}`))

describe('prepares', () => {
  test.each([
    ['full-200m', 2, true, { redo_file_written: 4 }],
    ['full-200m-quiet', 2, true, { redo_file_written: 4 }],
    ['full-200m-1g', 1, true, { redo_file_written: 4 }],
    ['chain-base', 3, false, {}],
    ['chain-inc1', 4, false, { delta_apply: 19 }],
    ['undo-512m', 2, true, { redo_file_written: 30 }],
    ['undo-100m-slow', 10, true, { redo_file_written: 30 }],
  ])('%s: %d batches, two passes or one, a second start where no increment follows', (name, batches, isLast, more) => {
    const events = parse(name)
    const starts = isLast ? 2 : 1
    expect(countsOf(events)).toMatchObject({
      version: 1,
      prepare_options: 2,
      redo_found: 1,
      first_pass_ended: starts,
      batch_started: batches,
      batch_completed: batches,
      shutdown_started: starts,
      shutdown_completed: starts,
      completed_ok: 1,
      ...more,
    })
    // InnoDB counts buckets of its hash: those without a page are passed over.
    const percents = only(events, 'batch_percent').map(({ percent }) => percent)
    expect(percents.filter((percent, index) => index === 0 || percent < percents[index - 1]!)).toHaveLength(batches)
    expect(percents.filter(percent => percent === 99)).toHaveLength(batches)
    if (name !== 'full-200m-1g') expect(percents).toHaveLength(100 * batches)
    expect(only(events, 'prepare_options').at(-1)?.applyLogOnly).toBe(!isLast)
    const [made] = only(events, 'prepare_options')
    if (isLast) {
      const files = only(events, 'redo_file_started').reduce((sum, { bytes }) => sum + bytes, 0)
      expect(files).toBe(made!.newRedoBytes)
    }
    expect(events.filter(({ type }) => type === 'failure' || type === 'complaint')).toEqual([])
  })

  test('two passes over the redo: the LSN falls back once, and the end of the first pass is told', () => {
    const lsns = only(parse('full-200m'), 'redo_scanned').map(({ lsn }) => lsn)
    const falls = lsns.filter((lsn, index) => index > 0 && lsn < lsns[index - 1]!)
    expect(falls).toEqual([768529920])
  })

  test('a rollback in the background: its percents, however other threads print between them', () => {
    const events = parse('errors/sigkill-rollback')
    expect(only(events, 'rollback_started')).toEqual([{ type: 'rollback_started', rows: 198053 }])
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(upTo(46))
    expect(countsOf(events)).toMatchObject({ shutdown_started: 1, batch_started: 1 })
  })
})

describe('the other commands', () => {
  const others = foldersOf(DIR).filter(name => /moveback|compress|encrypted/.test(name))

  test('all captures but the failures are looked at', () => {
    const prepares = [
      'full-200m',
      'full-200m-quiet',
      'full-200m-1g',
      'chain-base',
      'chain-inc1',
      'undo-512m',
      'undo-100m-slow',
    ]
    expect([...others, ...prepares, 'errors'].sort()).toEqual(foldersOf(DIR).sort())
  })

  test.each(others)('%s ends as it did: every file that begins is done, nothing is taken for a failure', name => {
    const { phase, exit, events, verdict } = judgeCapture(transcriptDir(`${DIR}/${name}`))
    expect([exit, verdict]).toEqual([0, null])
    expect(events.filter(({ type }) => type === 'failure' || type === 'complaint')).toEqual([])
    const counts = countsOf(events)
    if (phase === 'move_back') expect(counts.file_done).toBeGreaterThan(100)
    if (phase === 'move_back') expect(counts.file_done).toBe(counts.file_started)
    if (phase === 'decompress') expect(counts.file_started).toBeGreaterThan(10)
    if (phase !== 'extract') expect(counts.completed_ok).toBe(1)
  })
})

describe('counts that are written number by number', () => {
  const GLUED =
    'InnoDB: Rolling back trx with id 7, 5000 rows to undo\n\nInnoDB: Progress in percents: 1 2 3InnoDB: File x is now 12 MB.\n' +
    ` 4 5InnoDB: FTS optimize thread exiting.\n${upTo(100, 6)
      .map(percent => ` ${percent}`)
      .join('')}261127 15:56:20 completed OK!\n`

  test('glued to whatever another thread prints', () => {
    const events = eventsOf(xtrabackupGrammar(), GLUED)
    expect(only(events, 'rollback_percent').map(({ percent }) => percent)).toEqual(upTo(100))
    expect(events.at(-1)).toEqual({ type: 'completed_ok' })
  })

  /** Pieces as the follower of stderr sees them: the open line is offered after each. */
  function follow(grammar: Grammar, pieces: Iterable<Buffer>): ToolEvent[] {
    const splitter = createLineSplitter({ quietMs: 0 })
    const events: ToolEvent[] = []
    const hear = (line: { text: string; complete: boolean } | null) => {
      if (line !== null) events.push(...grammar(line.text, line.complete))
    }
    for (const piece of pieces) {
      splitter.push(piece, 0).forEach(hear)
      hear(splitter.offerPartial(0))
    }
    hear(splitter.flush())
    return events
  }

  const captures = ['full-200m', 'chain-inc1', 'undo-512m', 'errors/sigkill-rollback', 'errors/sigkill-second-start']
  test.each(captures)('%s, cut at every byte', name => {
    const bytes = Buffer.from(stderrOf(`${DIR}/${name}`))
    const pieces = Array.from(bytes, (_, index) => bytes.subarray(index, index + 1))
    // The last line of a killed tool has no end: what is open there counts as whole.
    expect(follow(xtrabackupGrammar(), pieces)).toEqual(parse(name))
  })

  test('the real chunks, each cut once more anywhere', () => {
    const chunks = captures.map(name =>
      lineOf(name, 'stderr.chunks.jsonl')
        .trim()
        .split('\n')
        .map(line => Buffer.from((JSON.parse(line) as { data: string }).data)),
    )
    fc.assert(
      fc.property(fc.nat(captures.length - 1), fc.infiniteStream(fc.nat(10_000)), (capture, cuts) => {
        const pieces = chunks[capture]!.flatMap(chunk => {
          const at = cuts.next().value! % (chunk.length + 1)
          return [chunk.subarray(0, at), chunk.subarray(at)]
        })
        expect(follow(xtrabackupGrammar(), pieces)).toEqual(parse(captures[capture]!))
      }),
      { numRuns: 30 },
    )
  })

  test('a text of the same kind, cut at every byte', () => {
    const bytes = Buffer.from(GLUED)
    const whole = eventsOf(xtrabackupGrammar(), GLUED)
    for (let at = 0; at <= bytes.length; at++)
      expect(follow(xtrabackupGrammar(), [bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
  })
})

/** What each run in errors/ ends in, and the tool's own words for it. Null: nothing speaks against it here. */
const ENDS: Record<string, readonly [ErrorCode, string] | null> = {
  'already-prepared': null,
  'decompress-no-qpress': ['tool_missing', 'qpress: not found'],
  'decrypt-wrongkey': ['wrong_key', 'invalid plaintext hash'],
  'extract-disk-full': ['disk_full', 'Errcode: 28'],
  // Only the files tell: the metadata are missing.
  'extract-empty': null,
  'extract-flip': ['source_corrupt', 'invalid checksum'],
  'extract-garbage': ['source_unknown', 'wrong chunk magic'],
  'extract-missing-dir': ['target_lost', "Can't change dir"],
  'extract-nonempty': ['target_not_new', 'File exists'],
  'extract-trunc': ['source_truncated', 'my_read() failed'],
  'extract-unknown-decompress': ['tool_version', "unknown option '--decompress'"],
  'extract-wrongkey': ['wrong_key', 'invalid plaintext hash'],
  'inc-base-ok': null,
  'inc-moveback': null,
  'inc-on-fully-prepared': ['chain_broken', 'needs target prepared with --apply-log-only'],
  'inc-out-of-order': ['chain_broken', 'seems not to be proper for the target'],
  'inc1-ok': null,
  'inc1-twice-reextracted': ['chain_broken', 'seems not to be proper for the target'],
  'inc1-twice-same-dir': ['chain_broken', 'seems not to be proper for the target'],
  'inc2-final': null,
  'moveback-missing-target': ['target_lost', "Can't change dir"],
  'moveback-no-datadir': ['internal', 'datadir must be specified'],
  'moveback-nonempty': ['datadir_not_empty', 'is not empty'],
  'moveback-ok': null,
  // Only the checkpoints tell.
  'moveback-unprepared': null,
  'prepare-compressed': ['backup_incomplete', 'cannot find ./xtrabackup_logfile'],
  'prepare-corrupt-redo': ['redo_incomplete', 'ends at LSN'],
  'prepare-corrupt-redo-header': ['redo_incomplete', 'was already used to'],
  'prepare-disk-full': ['disk_full', 'error number 28'],
  'prepare-empty': ['backup_incomplete', 'cannot open ./xtrabackup_checkpoints'],
  'prepare-encrypted': ['backup_incomplete', 'cannot find ./xtrabackup_logfile'],
  'prepare-incremental-alone': ['backup_incomplete', 'not to have correct metadata'],
  'prepare-missing-checkpoints': ['backup_incomplete', 'cannot open ./xtrabackup_checkpoints'],
  'prepare-missing-dir': ['target_lost', "Can't change dir"],
  'prepare-missing-ibdata': ['backup_incomplete', "'ibdata1' did not exist"],
  // Only the missing file tells.
  'prepare-missing-mycnf': null,
  'prepare-missing-redo': ['backup_incomplete', 'cannot find ./xtrabackup_logfile'],
  'prepare-truncated-redo': ['redo_incomplete', 'ends at LSN'],
  'sigkill-4': ['tool_killed', 'SIGKILL'],
  'sigkill-4-rerun': null,
  'sigkill-batch2': ['tool_killed', 'SIGKILL'],
  'sigkill-batch2-rerun': null,
  'sigkill-inc': ['tool_killed', 'SIGKILL'],
  'sigkill-inc-final': null,
  'sigkill-inc-rerun': null,
  'sigkill-rollback': ['tool_killed', 'SIGKILL'],
  'sigkill-rollback-rerun': ['backup_incomplete', 'cannot find ./xtrabackup_logfile'],
  'sigkill-second-start': ['tool_killed', 'SIGKILL'],
  'sigkill-second-start-rerun': null,
  'tiny-prepare': null,
  'unknown-option': null,
}

describe('errors', () => {
  test('every capture is here', () => {
    expect(Object.keys(ENDS).sort()).toEqual(foldersOf(`${DIR}/errors`).sort())
  })

  test.each(Object.entries(ENDS))('%s', (name, expected) => {
    const { verdict } = judge(name)
    expect(verdict?.code ?? null).toBe(expected?.[0] ?? null)
    if (expected !== null) expect(verdict!.message.toLowerCase()).toContain(expected[1].toLowerCase())
  })

  test('a crash that the tool catches: its own words, or the redo that ends early', () => {
    const crash =
      'InnoDB: Doing recovery: scanned up to log sequence number 7000 (3%)\n' +
      '15:41:48 UTC - xtrabackup got signal 6 ;\nThis could be because you hit a bug.\n'
    const events = eventsOf(xtrabackupGrammar(), crash)
    const complaints = only(events, 'complaint')
    const ended = { program: 'xtrabackup', phase: 'prepare', failures: [], saidCompletedOk: false, complaints } as const
    expect(judgeExit({ ...ended, exit: { code: 2, signal: null } })).toEqual({
      code: 'prepare_failed',
      message: 'xtrabackup got signal 6',
    })
    expect(endOfRedoIn(events, false)).toBe(7000)
  })
})

/** The two whose redo was damaged are of the backup that inc-base-ok prepared undamaged; its redo tells its end. */
const DAMAGED_REDO = ['prepare-truncated-redo', 'prepare-corrupt-redo']

const judge = (name: string) =>
  judgeCapture(
    transcriptDir(`${DIR}/errors/${name}`),
    DAMAGED_REDO.includes(name) ? endOfRedoIn(parse('errors/inc-base-ok'), true) : null,
  )
