/**
 * How wrong is the percentage? Plays recorded prepares through the estimator and scores what it would have shown.
 *
 *   npm run bench:progress -- DIR... [--json] [--plot FILE.svg]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { leaveOneOut } from './progress/leave-one-out.ts'
import { plot } from './progress/plot.ts'
import { type Score, score } from './progress/score.ts'
import { findTranscripts, readTranscript } from './progress/transcript.ts'

/** Shorter runs are over before anybody looks: shown, but no part of the verdict. */
const LEAST_SECONDS = 10
const USAGE = 'usage: npm run bench:progress -- DIR... [--json] [--plot FILE.svg]'

/** What cannot be read is told and left out; the rest is scored. */
const problems: string[] = []
function attempt<T>(what: () => T): T | null {
  try {
    return what()
  } catch (error) {
    problems.push(`error: ${(error as Error).message}\n`)
    return null
  }
}

const options = attempt(() => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, plot: { type: 'string' } },
  })
  if (positionals.length === 0) throw new Error(USAGE)
  return { ...values, dirs: positionals }
})
const transcripts = (options?.dirs ?? [])
  .flatMap(dir => attempt(() => findTranscripts(dir)) ?? [])
  .flatMap(dir => attempt(() => readTranscript(dir)) ?? [])
if (transcripts.length === 0 && problems.length === 0)
  problems.push('error: no recorded prepare among them: what was recorded there are other commands\n')
const scores = transcripts.map(score)
const svg = options?.plot
if (svg !== undefined) attempt(() => writeFileSync(svg, plot(scores.filter(isJudged))))
if (options?.json) process.stdout.write(`${JSON.stringify(scores)}\n`)
else if (scores.length > 0) process.stdout.write(table(scores))
for (const problem of problems) process.stderr.write(problem)
process.exitCode = problems.length > 0 ? 1 : 0

function isJudged(run: { succeeded: boolean; seconds: number }): boolean {
  return run.succeeded && run.seconds >= LEAST_SECONDS
}

function table(all: readonly Score[]): string {
  const head = [
    'run',
    's',
    'mean',
    'max',
    'MyHoard mean',
    'max',
    'plateau s',
    'silence s',
    'at 100 s',
    'ETA error 25/50/75 %',
    'ETA shown',
    'in range',
    'within factor 2',
    'width',
  ]
  const rows = all.map(run => [
    run.name,
    run.seconds.toFixed(1),
    ...[run.meanError, run.maxError, run.myhoardMeanError, run.myhoardMaxError].map(error => error?.toFixed(1) ?? '-'),
    run.longestPlateauSeconds.toFixed(1),
    run.longestSilenceSeconds.toFixed(1),
    run.at100BeforeEndSeconds.toFixed(1),
    run.succeeded
      ? [run.etaError25, run.etaError50, run.etaError75]
          .map(error => (error === null ? '-' : (100 * error).toFixed(0)))
          .join(' / ')
      : `no success; ${stalled(run)}, at most ${run.highestPercent} %`,
    ...[run.etaShown, run.etaCoverage, run.etaWithinFactor2, run.etaWidth].map(share =>
      share === null ? '-' : (100 * share).toFixed(0),
    ),
  ])
  const lines = [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n\n${verdict(all.filter(isJudged))}`
}

function stalled({ stalledAfterSeconds: after }: Score): string {
  return after === null ? 'never stalled' : `stalled after ${after} s`
}

function verdict(judged: readonly Score[]): string {
  if (judged.length === 0) return `No successful run of at least ${LEAST_SECONDS} s.\n`
  const judgedRuns = transcripts.filter(run => isJudged({ ...run, seconds: run.durationMs / 1000 }))
  const left = judged.length > 1 ? summary(leaveOneOut(judgedRuns)) : 'needs more than one run'
  return (
    `${judged.length} successful runs of at least ${LEAST_SECONDS} s: ${summary(judged)}; ` +
    `MyHoard's mean of means ${meanOf(judged.map(run => run.myhoardMeanError!)).toFixed(1)}.\n` +
    `${etaSummary(judged)}\n` +
    `Leave-one-out, each run with the weights that suit the others best: ${left}.\n`
  )
}

/** Over all the time in which an ETA was shown. */
function etaSummary(runs: readonly Score[]): string {
  const shown = runs.map(run => run.seconds * run.etaShown!)
  const all = shown.reduce((sum, seconds) => sum + seconds, 0)
  const mean = (of: (run: Score) => number | null) =>
    ((100 * runs.reduce((sum, run, i) => sum + shown[i]! * (of(run) ?? 0), 0)) / all).toFixed(0)
  const share = (100 * all) / runs.reduce((sum, run) => sum + run.seconds, 0)
  return (
    `ETA shown ${share.toFixed(0)} % of the time; of that its range held the true end ${mean(run => run.etaCoverage)} % ` +
    `(width ${mean(run => run.etaWidth)} % of what remains), within a factor of 2 ${mean(run => run.etaWithinFactor2)} %.`
  )
}

function summary(runs: readonly Score[]): string {
  const worst = (of: (run: Score) => number | null) => Math.max(...runs.map(run => of(run)!)).toFixed(1)
  return (
    `mean of means ${meanOf(runs.map(run => run.meanError!)).toFixed(2)}, ` +
    `largest mean ${worst(run => run.meanError)}, largest error ${worst(run => run.maxError)}`
  )
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
