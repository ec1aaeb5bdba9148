/**
 * How wrong is the percentage? Plays recorded prepares through the estimator and scores what it would have shown.
 *
 *   npm run bench:progress -- DIR... [--json] [--plot FILE.svg]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { plot } from './progress/plot.ts'
import { type Score, score } from './progress/score.ts'
import { findTranscripts, readTranscript } from './progress/transcript.ts'

/** Shorter runs are over before anybody looks: shown, but no part of the verdict. */
const LEAST_SECONDS = 10

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, plot: { type: 'string' } },
})
if (positionals.length === 0) throw new Error('usage: npm run bench:progress -- DIR... [--json] [--plot FILE.svg]')
const scores = findTranscripts(positionals).map(dir => score(readTranscript(dir)))
if (values.plot !== undefined) writeFileSync(values.plot, plot(scores.filter(isJudged)))
process.stdout.write(values.json ? `${JSON.stringify(scores)}\n` : table(scores))

function isJudged(run: Score): boolean {
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
  ]
  const rows = all.map(run => [
    run.name,
    run.seconds.toFixed(1),
    ...(run.succeeded
      ? [run.meanError, run.maxError, run.myhoardMeanError, run.myhoardMaxError].map(error => error.toFixed(1))
      : ['-', '-', '-', '-']),
    run.longestPlateauSeconds.toFixed(1),
    run.longestSilenceSeconds.toFixed(1),
    run.at100BeforeEndSeconds.toFixed(1),
    run.succeeded
      ? [run.etaError25, run.etaError50, run.etaError75]
          .map(error => (error === null ? '-' : (100 * error).toFixed(0)))
          .join(' / ')
      : `stalled after ${run.stalledAfterSeconds ?? '-'} s, at most ${run.highestPercent} %`,
  ])
  const lines = [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n\n${verdict(all.filter(isJudged))}`
}

function verdict(judged: readonly Score[]): string {
  if (judged.length === 0) return `No successful run of at least ${LEAST_SECONDS} s.\n`
  const means = judged.map(run => run.meanError)
  const mean = means.reduce((sum, error) => sum + error, 0) / means.length
  const worst = (of: (run: Score) => number) => Math.max(...judged.map(of)).toFixed(1)
  return (
    `${judged.length} successful runs of at least ${LEAST_SECONDS} s: mean of means ${mean.toFixed(2)}, ` +
    `largest mean ${worst(run => run.meanError)}, largest error ${worst(run => run.maxError)}, ` +
    `MyHoard's mean ${(judged.reduce((sum, run) => sum + run.myhoardMeanError, 0) / judged.length).toFixed(1)}.\n` +
    'Leave-one-out is the same table: no constant is fitted to transcripts (src/progress/prices.ts), so none changes.\n'
  )
}
