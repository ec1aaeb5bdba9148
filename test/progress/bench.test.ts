import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { leaveOneOut } from '../../bench/progress/leave-one-out.ts'
import { type Score, score } from '../../bench/progress/score.ts'
import { readTranscript } from '../../bench/progress/transcript.ts'
import { scratch } from '../support/scratch.ts'

/** bench/progress.ts on folders as others may have them: whole, in part, cut, broken. */

const ROOT = join(import.meta.dirname, '../..')
const FIXTURES = join(ROOT, 'test/fixtures/transcripts')
const MARIADB = join(FIXTURES, 'mariadb/inc-chain-3-inc2')
const XTRABACKUP = join(FIXTURES, 'xtrabackup/8.4.0-single-batch-undo-structured')

/** A copy of a recorded run that can be changed. */
function copyOf(dir: string): string {
  const copy = join(scratch(), 'run')
  cpSync(dir, copy, { recursive: true })
  return copy
}

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'bench/progress.ts'), ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

const rows = (...args: string[]): Score[] => {
  const { status, stdout, stderr } = bench('--json', ...args)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout) as Score[]
}

describe('--json', () => {
  test('a row a run: every key, samples at every change, the last one 100 at the end', () => {
    const [row, ...others] = rows(XTRABACKUP)
    expect(others).toEqual([])
    expect(row).toMatchObject({
      name: '8.4.0-single-batch-undo-structured',
      seconds: 42.405,
      succeeded: true,
      at100BeforeEndSeconds: 0,
    })
    for (const key of [
      'meanError',
      'maxError',
      'myhoardMeanError',
      'myhoardMaxError',
      'longestPlateauSeconds',
      'longestSilenceSeconds',
      'etaError25',
      'etaError50',
      'etaError75',
      'etaShown',
      'etaCoverage',
      'etaWithinFactor2',
      'etaWidth',
    ] as const)
      expect(row![key], key).toBeGreaterThanOrEqual(0)
    expect(row!.samples[0]).toEqual([0, null, null, null])
    expect(row!.samples.at(-1)!.slice(0, 2)).toEqual([42_405, 100])
    expect(row!.samples.map(([ms]) => ms)).toEqual(row!.samples.map(([ms]) => ms).toSorted((a, b) => a - b))
    for (const [i, sample] of row!.samples.entries()) {
      const [, percent, myhoard, eta] = sample
      if (i > 0) expect(sample).not.toEqual(row!.samples[i - 1])
      expect(percent === null || (percent >= 0 && percent <= 100)).toBe(true)
      expect(myhoard === null || Number.isInteger(myhoard)).toBe(true)
      expect(eta === null || eta > 0 || i === row!.samples.length - 1).toBe(true)
    }
  })

  test('the errors are those of its samples: time-weighted, what is not known is 0', () => {
    for (const row of rows(MARIADB, XTRABACKUP)) {
      const at = (ms: number, column: 1 | 2) => row.samples.findLast(sample => sample[0] <= ms)?.[column] ?? 0
      const steps = 20_000
      for (const [column, mean, max] of [
        [1, row.meanError, row.maxError],
        [2, row.myhoardMeanError, row.myhoardMaxError],
      ] as const) {
        const errors = Array.from({ length: steps }, (_, i) => {
          const part = (i + 0.5) / steps
          return Math.abs(at(part * 1000 * row.seconds, column) - 100 * part)
        })
        expect(errors.reduce((sum, error) => sum + error) / steps).toBeCloseTo(mean!, 1)
        expect(Math.abs(Math.max(...errors) - max!)).toBeLessThan(1)
      }
    }
  })

  test('the ETA errors are shares of the run, of what was said at a quarter, a half and three', () => {
    const [row] = rows(MARIADB)
    expect(row!.etaError75).not.toBeNull()
    for (const [part, error] of [
      [0.25, row!.etaError25],
      [0.5, row!.etaError50],
      [0.75, row!.etaError75],
    ] as const) {
      const ms = 1000 * row!.seconds * part
      const [saidAt, , , eta] = row!.samples.findLast(sample => sample[0] <= ms)!
      expect(eta === null).toBe(error === null)
      if (eta === null) continue
      const left = eta - (ms - saidAt) / 1000
      expect(Math.abs(left - row!.seconds * (1 - part)) / row!.seconds).toBeCloseTo(error!, 3)
    }
  })
})

describe('reads', () => {
  test('several folders, and those below them; prepares only', () => {
    const names = rows(MARIADB, join(FIXTURES, 'xtrabackup')).map(({ name }) => name)
    expect(names[0]).toBe('inc-chain-3-inc2')
    expect(names).toContain('8.4.0-stalled-small-pool')
    const all = rows(join(FIXTURES, 'mariadb')).map(({ name }) => name)
    expect(all).toContain('tiny-prepare')
    expect(all.filter(name => /^(extract|moveback|copyback)/.test(name))).toEqual([])
  })

  test('stderr.timed.log alone, with no word about the command or the end: a row that says nothing of errors', () => {
    const folder = scratch()
    cpSync(join(MARIADB, 'stderr.timed.log'), join(folder, 'stderr.timed.log'))
    const [row] = rows(folder)
    expect(row).toMatchObject({ succeeded: false, meanError: null, maxError: null, etaError50: null })
    expect(row!.highestPercent).toBeLessThanOrEqual(99)
    expect(row!.samples.length).toBeGreaterThan(10)
  })

  test('without samples of /proc', () => {
    const copy = copyOf(MARIADB)
    rmSync(join(copy, 'proc.samples.tsv'))
    const [row] = rows(copy)
    expect(row).toMatchObject({ succeeded: true, at100BeforeEndSeconds: 0 })
    expect(row!.meanError).toBeLessThan(10)
  })

  test('truth.json before exit.txt; a truth that is not complete is a run that was cut', () => {
    const copy = copyOf(MARIADB)
    writeFileSync(join(copy, 'truth.json'), '{"total_ms": 40000, "complete": true}')
    expect(rows(copy)[0]).toMatchObject({ seconds: 40, succeeded: true })
    writeFileSync(join(copy, 'truth.json'), '{"total_ms": 40000, "complete": false}')
    expect(rows(copy)[0]).toMatchObject({ seconds: 40, succeeded: false, meanError: null })
  })

  test('a tool that failed did not stall; one that nobody saw end did, in time', () => {
    const copy = copyOf(MARIADB)
    writeFileSync(join(copy, 'exit.txt'), 'exit 137 (signal 9)\nelapsed_ms 34000\n')
    expect(rows(copy)[0]).toMatchObject({ succeeded: false, stalledAfterSeconds: null })
    rmSync(join(copy, 'exit.txt'))
    expect(rows(copy)[0]!.stalledAfterSeconds).toBeGreaterThan(300)
  })
})

describe('a recording that was cut in the middle', () => {
  const until = (samples: Score['samples'], ms: number) => samples.filter(sample => sample[0] < ms)

  function cut(dir: string, cutMs: number, keepEnd: boolean): string {
    const copy = copyOf(dir)
    const keep = (file: string, ms: (line: string) => number) => {
      const path = join(copy, file)
      if (!existsSync(path)) return
      const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
      writeFileSync(
        path,
        lines
          .filter(line => !(ms(line) >= cutMs))
          .map(line => `${line}\n`)
          .join(''),
      )
    }
    keep('stderr.chunks.jsonl', line => (JSON.parse(line) as { ms: number }).ms)
    keep('stderr.timed.log', line => Number(line.split('\t')[0]))
    keep('proc.samples.tsv', line => 1000 * Number(line.split('\t')[0]))
    if (!keepEnd) for (const file of ['exit.txt', 'truth.json']) rmSync(join(copy, file), { force: true })
    return copy
  }

  test.each([
    [MARIADB, true],
    [MARIADB, false],
    [XTRABACKUP, true],
    [XTRABACKUP, false],
  ])('shows what the whole one showed until then: %s, its end known: %s', (dir, keepEnd) => {
    const whole = score(readTranscript(dir))
    for (const part of [0.1, 0.45, 0.8]) {
      const cutMs = Math.floor(part * 10 * whole.seconds) * 100
      const run = score(readTranscript(cut(dir, cutMs, keepEnd)))
      // Where nobody knows the end, it is the look at stderr after the newest thing recorded.
      const end = Math.min(cutMs - 100, 1000 * run.seconds)
      expect(end).toBeGreaterThan(cutMs - 2000)
      expect(until(run.samples, end).length).toBeGreaterThan(1)
      expect(until(run.samples, end)).toEqual(until(whole.samples, end))
    }
  })

  test('the same when it is scored with the weights that suit the others best: a run has no say in its own', () => {
    const others = ['mariadb/b118-32m', 'mariadb/inc-chain-1-base'].map(name => readTranscript(join(FIXTURES, name)))
    const [whole] = leaveOneOut([readTranscript(MARIADB), ...others])
    const cutMs = 15_000
    const [run] = leaveOneOut([readTranscript(cut(MARIADB, cutMs, false)), ...others])
    expect(until(run!.samples, cutMs - 100)).toEqual(until(whole!.samples, cutMs - 100))
    // And the weights shipped are what they were.
    expect(score(readTranscript(MARIADB))).toEqual(rows(MARIADB)[0])
  })

  test('in the middle of a line: what is left of it is no evidence of anything else', () => {
    for (const [dir, file] of [
      [MARIADB, 'stderr.timed.log'],
      [MARIADB, 'proc.samples.tsv'],
      [XTRABACKUP, 'stderr.chunks.jsonl'],
    ] as const) {
      const copy = copyOf(dir)
      const text = readFileSync(join(copy, file), 'utf8')
      const whole = rows(dir)[0]!
      writeFileSync(join(copy, file), text.slice(0, Math.floor(text.length / 2)))
      const [row] = rows(copy)
      expect(row!.at100BeforeEndSeconds).toBe(0)
      expect(until(row!.samples, 2000)).toEqual(until(whole.samples, 2000))
    }
  })
})

describe('one clear error, and an exit code, for', () => {
  const fails = (error: RegExp, ...args: string[]) => {
    const { status, stdout, stderr } = bench(...args)
    expect(stderr).toMatch(error)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(status).toBe(1)
    return stdout
  }

  test('no folder at all, an unknown option', () => {
    fails(/^error: usage: /)
    fails(/^error: Unknown option '--joson'/, '--joson', MARIADB)
  })

  test('a folder that is not there, one that is a file, one with nothing in it', () => {
    fails(/^error: .*none: no such folder/, join(scratch(), 'none'))
    fails(/^error: .*command.txt: not a folder/, join(MARIADB, 'command.txt'))
    fails(/^error: .*: nothing recorded in it/, scratch())
    fails(/^error: no recorded prepare among them/, join(FIXTURES, 'mariadb/extract-trunc'))
    expect(rows(join(FIXTURES, 'mariadb/extract-trunc'), MARIADB)).toHaveLength(1)
  })

  test.each<[string, string, RegExp]>([
    ['stderr.timed.log', '', /nothing was recorded/],
    ['stderr.timed.log', '12\tInnoDB: a\nb\n13\tc\n', /stderr.timed.log: line 2 is not milliseconds TAB text/],
    ['stderr.chunks.jsonl', '{"ms": 1, "data": "x"}\n{"ms": "1"}\n', /line 2 is not \{"ms": number, "data": string\}/],
    ['truth.json', '{"total_ms"', /truth.json: not JSON/],
    ['truth.json', '{}', /truth.json: no total_ms/],
    ['exit.txt', 'exit 0\n', /exit.txt: no elapsed_ms/],
    ['proc.samples.tsv', 't_s\trchar\nx\t1\n', /proc.samples.tsv: line 2 is not what its first line names/],
    ['facts.json', '{', /facts.json: not JSON/],
  ])('%s with %j; the other folders are scored all the same', (file, content, error) => {
    const copy = copyOf(MARIADB)
    writeFileSync(join(copy, file), content)
    const stdout = fails(error, '--json', copy, XTRABACKUP)
    expect((JSON.parse(stdout) as Score[]).map(({ name }) => name)).toEqual(['8.4.0-single-batch-undo-structured'])
  })

  test('a plot that cannot be written', () => {
    const folder = scratch()
    mkdirSync(join(folder, 'taken.svg'))
    fails(/^error: EISDIR/, MARIADB, '--plot', join(folder, 'taken.svg'))
  })
})
