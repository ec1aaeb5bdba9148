import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Score, score } from '../../bench/progress/score.ts'
import { findTranscripts, readTranscript } from '../../bench/progress/transcript.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/transcripts')
const dirs = ['mariadb', 'xtrabackup', 'xtrabackup-2.4'].flatMap(tool => findTranscripts(join(FIXTURES, tool)))
const scores = new Map<string, Score>(dirs.map(dir => [dir, score(readTranscript(dir))]))
const long = [...scores].filter(([, run]) => run.succeeded && run.seconds >= 10)

describe('successful prepares of at least 10 s', () => {
  test('there are some of each tool', () => {
    expect(long.filter(([dir]) => dir.includes('/mariadb/')).length).toBeGreaterThanOrEqual(8)
    expect(long.filter(([dir]) => dir.includes('/xtrabackup/')).length).toBeGreaterThanOrEqual(3)
  })

  const beyond = new Map([
    // In 20 of its 54 s nothing was done: to stand is right there, and an error all the same.
    ['real-k-256m-stopped', 12],
    // Nothing but inserts: a page every 16 KB of redo, where a mixture of everything is expected. docs/progress.md has
    // it.
    ['real-o-100m-slow', 16],
  ])

  test.each(long)('%s', (_, run) => {
    expect(run.meanError).toBeLessThanOrEqual(beyond.get(run.name) ?? 10)
    expect(run.maxError).toBeLessThanOrEqual(30)
    expect(run.at100BeforeEndSeconds).toBe(0)
    expect(run.longestSilenceSeconds).toBeLessThanOrEqual(10)
    expect(run.samples.at(-1)![1]).toBe(100)
    // MyHoard's own number is not ours under another name.
    expect(run.meanError).toBeLessThan(run.myhoardMeanError!)
  })

  test('real runs of xtrabackup 2.4: on the whole within 5 points, none beyond 8, no moment beyond 20', () => {
    const real = long.filter(([dir]) => dir.includes('/xtrabackup-2.4/')).map(([, run]) => run)
    expect(real.length).toBeGreaterThanOrEqual(6)
    expect(real.reduce((sum, run) => sum + run.meanError!, 0) / real.length).toBeLessThanOrEqual(5)
    for (const run of real) {
      expect(run.meanError, run.name).toBeLessThanOrEqual(8)
      expect(run.maxError, run.name).toBeLessThanOrEqual(20)
    }
  })

  test('the same without samples of /proc: on the whole within 8 points', () => {
    const real = long
      .filter(([dir]) => dir.includes('/xtrabackup-2.4/'))
      .map(([dir]) => {
        const transcript = readTranscript(dir)
        return score({ ...transcript, inputs: transcript.inputs.filter(({ input }) => input.type !== 'sample') })
      })
    expect(real.reduce((sum, run) => sum + run.meanError!, 0) / real.length).toBeLessThanOrEqual(8)
  })

  test('the ETA: its range holds the true end four times of five, and it is seldom wrong by a factor of 2', () => {
    const runs = long.map(([, run]) => run).filter(run => run.name !== 'real-k-256m-stopped')
    const shown = runs.reduce((sum, run) => sum + run.seconds * run.etaShown!, 0)
    const share = (of: (run: Score) => number | null) =>
      runs.reduce((sum, run) => sum + run.seconds * run.etaShown! * (of(run) ?? 0), 0) / shown
    expect(share(run => run.etaCoverage)).toBeGreaterThanOrEqual(0.8)
    expect(share(run => run.etaWithinFactor2)).toBeGreaterThanOrEqual(0.9)
  })

  test('on the whole within 6 points', () => {
    const mean = long.reduce((sum, [, run]) => sum + run.meanError!, 0) / long.length
    expect(mean).toBeLessThanOrEqual(6)
  })
})

test('the recovery that never ends is seen to be stalled, and never said to be done', () => {
  const run = scores.get(join(FIXTURES, 'xtrabackup/8.4.0-stalled-small-pool'))!
  // Its last percent came at 170.4 s, a batch began at 172.7 s; a minute of complaints is the threshold.
  expect(run.stalledAfterSeconds).toBeGreaterThan(200)
  expect(run.stalledAfterSeconds).toBeLessThanOrEqual(172.8 + 61)
  expect(run.highestPercent).toBeLessThan(99)
})

describe('MyHoard number is its formula', () => {
  test.each(dirs)('%s', dir => {
    const said: number[] = []
    for (const [, , percent] of scores.get(dir)!.samples) {
      if (percent !== null && percent !== said.at(-1)) said.push(percent)
    }
    expect(said).toEqual(formula(dir))
  })
})

/**
 * Its own arithmetic on its own (or, for MariaDB, the two) patterns, from the raw text: shares nothing with the
 * estimator.
 */
function formula(dir: string): number[] {
  const text = written(dir)
  const last = lastLsn(dir)
  const patterns =
    /scanned up to log sequence number (\d+)|Read redo log up to LSN=(\d+)|To recover: LSN (\d+)\/|Shutdown completed; log sequence number (\d+)/g
  let first: number | null = null
  let current: number | null = null
  const reported: number[] = []
  for (const match of text.matchAll(patterns)) {
    const isShutdown = match[4] !== undefined
    // A scan line counts only where last_lsn is known; mariadb-backup's shutdown line names no LSN.
    if (!isShutdown && last === null) continue
    const lsn = Number(match[1] ?? match[2] ?? match[3] ?? match[4])
    if (current === null || lsn > current) current = lsn
    first ??= current
    if (last === null) continue
    const span = last - first
    const percent = span <= 0 ? 100 : Math.min(100, Math.max(0, Math.floor((100 * (current - first)) / span)))
    if (percent !== reported.at(-1)) reported.push(percent)
  }
  return reported
}

function written(dir: string): string {
  const chunks = join(dir, 'stderr.chunks.jsonl')
  if (!existsSync(chunks)) return readFileSync(join(dir, 'stderr.timed.log'), 'utf8')
  const parts = readFileSync(chunks, 'utf8').split('\n').filter(Boolean)
  return parts.map(part => (JSON.parse(part) as { data: string }).data).join('')
}

function lastLsn(dir: string): number | null {
  const path = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'].map(name => join(dir, name)).find(existsSync)
  return path === undefined ? null : Number(/^last_lsn = (\d+)/m.exec(readFileSync(path, 'utf8'))![1])
}

describe.each([0.2, 0.4, 0.6, 0.9])(
  'a run cut short at %d of its time shows what the whole run showed until then',
  part => {
    test.each(long)('%s', (dir, whole) => {
      const transcript = readTranscript(dir)
      const cutMs = Math.round(transcript.durationMs * part)
      const cut = score({
        ...transcript,
        durationMs: cutMs,
        succeeded: false,
        inputs: transcript.inputs.filter(({ atMs }) => atMs < cutMs),
      })
      const until = (samples: Score['samples']) => samples.filter(([ms]) => ms < cutMs)
      expect(until(cut.samples)).toEqual(until(whole.samples))
    })
  },
)

describe('another agent takes over and reads stderr again from its start', () => {
  test.each(long)('%s', (dir, whole) => {
    const transcript = readTranscript(dir)
    const atMs = Math.round(transcript.durationMs / 2)
    const before = transcript.inputs.filter(timed => timed.atMs < atMs)
    const again = before.filter(({ input }) => input.type === 'tool').map(({ input }) => ({ atMs, input }))
    const after = transcript.inputs.filter(timed => timed.atMs >= atMs)
    const takenOver = score({ ...transcript, inputs: [...before, ...again, ...after] })
    expect(Math.abs(takenOver.meanError! - whole.meanError!)).toBeLessThan(1)
    expect(Math.abs(takenOver.maxError! - whole.maxError!)).toBeLessThan(1)
  })
})

test('stopped by SIGSTOP for 20 s, a real run stands still and is said to be quiet', () => {
  const run = scores.get(join(FIXTURES, 'mariadb/real-k-256m-stopped'))!
  const during = run.samples.filter(([ms]) => ms > 8_100 && ms < 27_390) // its first line after that is of 27,395 ms
  const before = run.samples.findLast(([ms]) => ms <= 8_100)!
  expect(new Set(during.map(([, percent]) => percent))).toEqual(new Set([before[1]]))
  expect(run.longestPlateauSeconds).toBeGreaterThan(19)
  expect(run.longestSilenceSeconds).toBeLessThanOrEqual(6)
})
