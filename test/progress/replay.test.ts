import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { score } from '../../bench/progress/score.ts'
import { readTranscript, type Transcript } from '../../bench/progress/transcript.ts'
import { createJsonView, jsonState } from '../../src/cli/views/json-view.ts'
import type { WorkFacts } from '../../src/progress/progress.ts'
import { makePlan } from '../../src/restore/plan/build-plan.ts'
import { reduce } from '../../src/restore/state/reduce.ts'
import type { RestoreEvent, RestoreState } from '../../src/restore/state/state.ts'
import { restoreSchema } from '../../src/server/api-schema.ts'
import { restoreBody } from '../../src/server/restore-body.ts'
import { sampleParts, sampleState, sampleTool, T0 } from '../support/samples.ts'
import { numberOf, pointsOf } from '../telemetry/otlp-receiver.ts'
import { startWithReceiver } from '../telemetry/start.ts'

/**
 * Real prepares of a chain, played through the reducer with their own clock and samples: what the state, the terminal,
 * the agent's status and OTLP say at a moment is the same, and it is what the bench scores.
 */

const CAPTURES = join(import.meta.dirname, '../fixtures/transcripts/xtrabackup-2.4')
const NO_DELTA = { cpuSeconds: 0, rcharBytes: 0, readBytes: 0, writeBytes: 0 }

type Timeless = RestoreEvent extends infer E ? (E extends { atMs: number } ? Omit<E, 'atMs'> : never) : never

const factsOf = ({ inputs }: Transcript): WorkFacts => {
  const element = inputs.find(({ input }) => input.type === 'element')!.input
  return (element as Extract<typeof element, { type: 'element' }>).facts
}

/** A chain of three, the first two as they were captured; the third was not given. */
function plan(base: WorkFacts, inc: WorkFacts) {
  const element = (facts: WorkFacts) => ({
    description: {
      family: 'xtrabackup' as const,
      toolVersion: '2.4.20',
      serverVersion: '5.6.24',
      fromLsn: facts.fromLsn,
      toLsn: facts.toLsn,
      lastLsn: facts.lastLsn,
    },
    extracted: {
      redoBytes: facts.redoBytes,
      dataFileBytes: facts.dataFileBytes!,
      files: 100,
      deltaFiles: facts.deltaFiles ?? {},
    },
  })
  const parts = sampleParts({
    tool: 'xtrabackup',
    toolVersion: '2.4.20',
    elements: [element(base), element(inc), element({ ...inc, fromLsn: inc.toLsn })],
  })
  return { ...makePlan(parts), memory: null }
}

/** One event of a restore for an input of the bench; null for what only frames a recording. */
function eventOf({ input }: Transcript['inputs'][number], position: number): Timeless | null {
  switch (input.type) {
    case 'tool':
      return {
        type: 'tool_lines',
        position,
        id: sampleTool().id,
        tool: 'xtrabackup',
        readOffset: 1,
        events: [input.event],
        lines: [],
        count: 1,
        dropped: 0,
      }
    case 'sample':
      return { type: 'sample', position, sample: input.sample, lines: 0, delta: NO_DELTA, sourceReadBytes: null }
    default:
      return null
  }
}

interface Moment {
  atMs: number
  state: RestoreState
}

/** The state after each event of one prepare, which ends `passed`. */
function play(before: RestoreState, transcript: Transcript, position: number): Moment[] {
  const beginMs = before.updatedAtMs
  const moments: Moment[] = []
  let state = before
  const take = (event: Timeless, atMs: number) => {
    state = reduce(state, { ...event, atMs: beginMs + atMs } as RestoreEvent)
    moments.push({ atMs, state })
  }
  take({ type: 'phase_started', phase: 'preparing_backup', position }, 0)
  for (const timed of transcript.inputs) {
    const event = eventOf(timed, position)
    if (event !== null && timed.atMs < transcript.durationMs) take(event, timed.atMs)
  }
  take({ type: 'phase_ended', error: null }, transcript.durationMs)
  return moments
}

const captures = ['chain-base', 'chain-inc1'].map(name => readTranscript(join(CAPTURES, name)))
const [base, inc] = captures as [Transcript, Transcript]

function begun(): RestoreState {
  const events: Timeless[] = [
    { type: 'attempt_started' },
    { type: 'phase_started', phase: 'getting_backup_info', position: 0 },
    { type: 'planned', plan: plan(factsOf(base), factsOf(inc)) },
    { type: 'phase_ended', error: null },
  ]
  return events.reduce((state, event) => reduce(state, { ...event, atMs: T0 } as RestoreEvent), sampleState())
}

const ofBase = play(begun(), base, 1)
const played = [ofBase, play(ofBase.at(-1)!.state, inc, 2)]

describe.each([
  ['chain-base', base, played[0]!],
  ['chain-inc1', inc, played[1]!],
] as const)('%s', (_, transcript, moments) => {
  test('percents after each line are the bench’s', () => {
    const { samples } = score(transcript)
    const at = (ms: number) => samples.findLast(([atMs]) => atMs <= ms)!
    const last = new Map(moments.map(({ atMs, state }) => [atMs, state]))
    for (const [atMs, { progress }] of last) {
      const [, percent, myhoard] = at(atMs)
      expect(progress.phasePercent, `${atMs} ms`).toBe(percent)
      expect(progress.scanPercent, `${atMs} ms`).toBe(myhoard)
    }
  })

  test('never falling, and 100 only at the end', () => {
    const percents = moments.map(({ state }) => state.progress.phasePercent ?? 0)
    expect(percents).toEqual(percents.toSorted((a, b) => a - b))
    expect(percents.filter(percent => percent >= 100)).toEqual([100])
    expect(percents.at(-1)).toBe(100)
    const whole = moments.map(({ state }) => state.progress.restorePercent ?? 0)
    expect(whole).toEqual(whole.toSorted((a, b) => a - b))
    expect(whole.at(-1)).toBeLessThan(100)
  })

  test('the terminal and the status say what the state says, at each moment', () => {
    const written: string[] = []
    const stream = { write: (text: string) => written.push(text), on: () => {}, off: () => {} }
    const view = createJsonView({ stream })
    for (const { state } of moments) {
      const body = restoreBody(state, { backup: '' })
      view.show(body)
      const { phasePercent, restorePercent, scanPercent } = state.progress
      const status = jsonState(restoreSchema.parse(JSON.parse(JSON.stringify(body))))
      for (const said of [body.progress, status])
        expect(said).toMatchObject({
          percent: phasePercent,
          restore_percent: restorePercent,
          scan_percent: scanPercent,
        })
      const line = JSON.parse(written.at(-1)!) as ReturnType<typeof jsonState>
      expect(Math.floor(line.percent ?? 0)).toBe(Math.floor(phasePercent ?? 0))
    }
    view.close()
  })

  test.each([0.05, 0.3, 0.6, 0.95])('OTLP says its whole part, at %d of the time', async part => {
    const { state } = moments[Math.floor(part * (moments.length - 1))]!
    const { telemetry, receiver } = await startWithReceiver()
    telemetry.observe(state, { type: 'tick', atMs: state.updatedAtMs })
    await telemetry.shutdown()
    const metrics = new Map(
      receiver
        .exports()
        .at(-1)
        ?.map(metric => [metric.name, metric]),
    )
    const value = (name: string) => pointsOf(metrics.get(name)).map(numberOf)[0]
    const { phasePercent, restorePercent, scanPercent } = state.progress
    expect(value('restore.phase.progress')).toBe(Math.floor(phasePercent!))
    expect(value('restore.progress')).toBe(Math.floor(restorePercent!))
    expect(value('restore.prepare.scan.progress')).toBe(scanPercent ?? undefined)
  })
})
