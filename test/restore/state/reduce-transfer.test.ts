import { expect, test } from 'vitest'
import { reduce } from '../../../src/restore/state/reduce.ts'
import type { EndedSpan, RestoreState } from '../../../src/restore/state/state.ts'
import type { TransferProgress } from '../../../src/source/transfer/stats.ts'
import { samplePlan, sampleState, sampleTransfer, T0 } from '../../support/samples.ts'

const NO_WORK = { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null }

const failures = (from: number, to: number, type = 'reset'): TransferProgress['failedRequests'] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({
    number: from + index,
    startedAtMs: T0 + 100,
    endedAtMs: T0 + 200,
    type,
  }))

function sampled(before: RestoreState, transfer: TransferProgress | null, position = 1): RestoreState {
  const bytes = transfer?.writtenBytes ?? null
  const sample = { position, sample: NO_WORK, lines: 0, delta: NO_WORK, sourceReadBytes: bytes, transfer }
  return reduce(before, { type: 'sample', atMs: T0 + 5000, ...sample })
}

const extracting = [
  { type: 'attempt_started' },
  { type: 'planned', plan: samplePlan() },
  { type: 'phase_started', phase: 'restoring_basebackup', position: 1 },
  { type: 'run_begun', run: { element: 1, kind: 'extract' } },
] as const
const begun = extracting.reduce<RestoreState>((state, event) => reduce(state, { ...event, atMs: T0 }), sampleState())
const [name] = begun.plan!.elements.map(element => element.name)
const requests = ({ endedSpans }: RestoreState): EndedSpan[] => endedSpans.filter(({ kind }) => kind === 'request')

test('retries are counted once, however often the figures are read', () => {
  const first = sampled(begun, sampleTransfer({ retries: { reset: 2 }, failedRequests: failures(1, 2) }))
  expect(first.counters.sourceRetries).toEqual({ [name!]: { reset: 2 } })
  const again = sampled(first, sampleTransfer({ retries: { reset: 2 }, failedRequests: failures(1, 2) }))
  expect(again.counters.sourceRetries).toEqual({ [name!]: { reset: 2 } })
  expect(requests(again)).toEqual([])
  const more = sampled(again, sampleTransfer({ retries: { reset: 3, '503': 1 }, failedRequests: failures(1, 4) }))
  expect(more.counters.sourceRetries).toEqual({ [name!]: { reset: 3, '503': 1 } })
  expect(requests(more)).toHaveLength(2)
})

test('a request that failed is a span below the phase', () => {
  const [reset, refused] = requests(
    sampled(begun, sampleTransfer({ failedRequests: [...failures(1, 1), ...failures(2, 2, '503')] })),
  )
  const phase = begun.spans.find(({ kind }) => kind === 'phase')!
  expect(reset).toMatchObject({
    name: 'source request',
    parentId: phase.id,
    startedAtMs: T0 + 100,
    endedAtMs: T0 + 200,
    attributes: { 'error.type': 'reset' },
  })
  expect(reset!.error).not.toBeNull()
  expect(refused!.attributes).toEqual({ 'error.type': '503', 'http.response.status_code': 503 })
})

test('no more than a hundred spans a transfer', () => {
  let state = begun
  let spans = 0
  for (let number = 1; number <= 400; number += 10) {
    state = sampled(state, sampleTransfer({ failedRequests: failures(number, number + 9) }))
    spans += requests(state).length
  }
  expect(spans).toBe(100)
})

test('the next agent counts only what failed since the last look', () => {
  const figures = sampleTransfer({ retries: { reset: 2 }, failedRequests: failures(1, 2) })
  const seen = sampled(begun, figures)
  const resumed = reduce(seen, {
    type: 'resumed',
    atMs: T0 + 6000,
    agentPid: 99,
    bootId: seen.bootId,
    idPrefix: '0badcafe',
    link: null,
    adopted: true,
    options: seen.options,
    plan: seen.plan,
    runs: seen.runs,
    cleanup: seen.cleanup,
    lastSeenAtMs: T0 + 5000,
  })
  expect(resumed.counters.sourceRetries).toEqual({})
  const next = sampled(resumed, { ...figures, retries: { reset: 5 }, failedRequests: failures(1, 5) })
  expect(next.counters.sourceRetries).toEqual({ [name!]: { reset: 3 } })
  expect(requests(next)).toHaveLength(3)
})

test('a transfer that begins anew counts from 0', () => {
  const first = sampled(begun, sampleTransfer({ retries: { reset: 2 }, failedRequests: failures(1, 2) }))
  const again = reduce(first, { type: 'run_begun', atMs: T0 + 6000, run: { element: 1, kind: 'extract' } })
  expect(again.transfers).toEqual({})
  const next = sampled(again, sampleTransfer({ retries: { reset: 2 }, failedRequests: failures(1, 2) }))
  expect(next.counters.sourceRetries).toEqual({ [name!]: { reset: 4 } })
  expect(requests(next)).toHaveLength(2)
})

test('without a transfer process nothing is kept', () => {
  expect(sampled(begun, null).transfers).toEqual({})
})
