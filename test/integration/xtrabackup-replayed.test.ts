import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { xbstream } from '../fixtures/xbstream-writer.ts'
import {
  filesOf,
  incrementalOf,
  PLAIN,
  replayEnv,
  TRANSCRIPTS,
  writeXtrabackup,
  XTRABACKUP,
} from '../fixtures/xtrabackup-backup.ts'
import { until } from '../support/until.ts'
import {
  expectFailure,
  expectSuccess,
  PROJECT,
  processAt,
  type RunOptions,
  type Workspace,
  workspace,
} from './workspace.ts'

/**
 * xtrabackup goes through the same command and the same code. The programs are stand-ins that replay transcripts in
 * scaled time and leave the files that the real ones would; the stream is a real xbstream.
 */
const WHOLE = ['8.0.35-multi-batch-undo', '8.0.35-single-batch-undo', '8.4.0-single-batch-undo-structured'] as const

const backupAt = (at: Workspace, ...how: [string, ((files: Record<string, Buffer>) => Record<string, Buffer>)?]) =>
  writeXtrabackup(join(at.dir, 'backup.xbstream'), ...how)

const replay = (transcript: string, env: Record<string, string> = {}): RunOptions => ({
  args: ['--tool-path', XTRABACKUP, '--retries', '0'],
  env: replayEnv(transcript, env),
})

const KEPT = { kept: ['backup.xbstream', 'inc.xbstream', 'backup'] }

describe('a restore', () => {
  test.each(WHOLE)('of %s ends well, with every number the transcript has', async transcript => {
    const at = workspace()
    const ended = await at.restore([backupAt(at, transcript)], replay(transcript))
    expectSuccess(ended)
    expect(ended.stderr).toContain('binlog.000042')
    const state = at.state()!
    const checkpoints = readFileSync(join(TRANSCRIPTS, transcript, 'xtrabackup_checkpoints'), 'utf8')
    const lastLsn = Number(/^last_lsn = (\d+)/m.exec(checkpoints)![1])
    expect(state).toMatchObject({
      status: 'succeeded',
      phase: 'completed',
      plan: { tool: { family: 'xtrabackup', extractor: join(PROJECT, 'test/fixtures/bin/xbstream') } },
      redo: { targetLsn: lastLsn },
      progress: { restorePercent: 100 },
      spans: [],
    })
    expect(state.redo.scannedLsn).toBeGreaterThanOrEqual(lastLsn)
    expect(readdirSync(at.datadir).sort()).toEqual(['#innodb_redo', 'app', 'ibdata1', 'mysql.ibd'])
    expect(readFileSync(join(at.datadir, 'app/t1.ibd'))).toEqual(filesOf(transcript)['app/t1.ibd'])
    const kept = join(at.stateDir, state.restoreId, 'backup/1/xtrabackup_binlog_info')
    expect(readFileSync(kept, 'utf8')).toContain('binlog.000042')
  })

  test('of a real capture of 2.4.20 ends well: two passes over the redo, two starts', async () => {
    const at = workspace()
    const transcript = '../xtrabackup-2.4/full-200m-quiet'
    const ended = await at.restore([backupAt(at, transcript)], replay(transcript, { REPLAY_SPEED: '10' }))
    expectSuccess(ended)
    expect(at.state()).toMatchObject({
      status: 'succeeded',
      plan: { tool: { version: '2.4.20' } },
      // What the second start scans is beyond the backup's redo.
      redo: { scannedLsn: 845843909, appliedLsn: 845843909, targetLsn: 845843909 },
      progress: { restorePercent: 100 },
    })
    expect(ended.stderr).not.toContain('stalled')
  })

  test('of 2.4.20 whose redo ends before the backup does is no success, whatever the second start scans', async () => {
    const at = workspace()
    const transcript = '../xtrabackup-2.4/full-200m-quiet'
    const source = backupAt(at, transcript, ({ xtrabackup_checkpoints: checkpoints, ...files }) => ({
      ...files,
      // Above the end of the redo, below what the second start scans.
      xtrabackup_checkpoints: Buffer.from(checkpoints!.toString().replace(/^last_lsn = .*$/m, 'last_lsn = 845900000')),
    }))
    const ended = await at.restore([source], replay(transcript, { REPLAY_SPEED: '50' }))
    expectFailure(at, ended, 'redo_incomplete', KEPT)
    expect(ended.stderr).toContain('ends at LSN 845843909, the backup at LSN 845900000')
  })

  test('of a stream whose files are compressed one by one', async () => {
    const at = workspace()
    const source = backupAt(at, PLAIN, ({ 'app/t1.ibd': table, ...files }) => ({
      'app/t1.ibd.zst': zstdCompressSync(table!),
      ...files,
    }))
    expectSuccess(await at.restore([source], replay(PLAIN)))
    expect(readFileSync(join(at.datadir, 'app/t1.ibd'))).toEqual(filesOf(PLAIN)['app/t1.ibd'])
  })

  test('of a chain applies the deltas of the incremental', async () => {
    const at = workspace()
    const full = backupAt(at, PLAIN)
    const incremental = join(at.dir, 'inc.xbstream')
    writeFileSync(incremental, xbstream(incrementalOf(PLAIN)))
    expectSuccess(await at.restore([full, incremental], replay(PLAIN)))
    expect(readFileSync(join(at.datadir, 'app/t1.ibd')).length).toBe(550_000)
    expect(at.state()).toMatchObject({ chainLength: 2, position: 2, status: 'succeeded' })
  })

  test('of a directory that is prepared already skips prepare', async () => {
    const at = workspace()
    const source = join(at.dir, 'backup')
    for (const [path, content] of Object.entries(filesOf(PLAIN))) {
      mkdirSync(join(source, path, '..'), { recursive: true })
      if (path === 'xtrabackup_logfile') continue
      const text =
        path === 'xtrabackup_checkpoints' ? content.toString().replace('full-backuped', 'full-prepared') : content
      writeFileSync(join(source, path), text)
    }
    expectSuccess(await at.restore([source], replay(PLAIN)))
    expect(at.state()!.plan!.steps.map(step => step.kind)).toEqual(['copy', 'move_back', 'verify'])
  })
})

describe('a failure', () => {
  const errors: { cls: string; program: string; stage: string; exit: number }[] = readFileSync(
    join(TRANSCRIPTS, 'errors/errors.jsonl'),
    'utf8',
  )
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

  /** The classes of failure that a restore of a full backup can meet. */
  const CODES: Readonly<Record<string, ErrorCode>> = {
    'target-not-empty': 'source_corrupt',
    'disk-full': 'disk_full',
    'disk-full-silent': 'disk_full',
    'truncated-at-chunk-boundary': 'source_truncated',
    'truncated-in-chunk-header': 'source_truncated',
    'truncated-in-chunk-body': 'source_truncated',
    'not-xbstream-or-corrupt': 'source_unknown',
    corrupt: 'source_corrupt',
    'wrong-key': 'wrong_key',
    'key-file-missing': 'key_missing',
    'no-metadata': 'backup_incomplete',
    'version-mismatch': 'tool_version',
    permission: 'not_permitted',
    'datadir-not-empty': 'datadir_not_empty',
    'not-prepared': 'not_prepared',
  }

  test.each(Object.entries(CODES))('%s: %s', async (cls, code) => {
    expect(errors.some(error => error.cls === cls)).toBe(true)
    const at = workspace()
    const ended = await at.restore([backupAt(at, PLAIN)], replay(PLAIN, { REPLAY_FAIL: cls }))
    expectFailure(at, ended, code, KEPT)
  })

  test('a tool of another series: tool_version', async () => {
    const at = workspace()
    const ended = await at.restore([backupAt(at, PLAIN)], replay(PLAIN, { REPLAY_VERSION: '8.4.0-3' }))
    expectFailure(at, ended, 'tool_version', KEPT)
  })

  test('a stream that is cut: source_truncated', async () => {
    const at = workspace()
    const source = backupAt(at, PLAIN)
    writeFileSync(source, readFileSync(source).subarray(0, 700_000))
    expectFailure(at, await at.restore([source], replay(PLAIN)), 'source_truncated', KEPT)
  })

  test('a recovery that starves for memory and is told to stop: cancelled', async () => {
    const stalled = '8.4.0-stalled-small-pool'
    const at = workspace()
    const agent = at.start([backupAt(at, stalled)], replay(stalled))
    await processAt(at.dir, /xtrabackup --prepare/)
    await until(() => (at.state()?.counters.lines.preparing_backup ?? 0) > 500)
    process.kill(agent.pid, 'SIGINT')
    expectFailure(at, await agent.ended, 'cancelled', KEPT)
  })
})
