import type { RunId } from './runs.ts'
import { addEndedSpan, openSpanOf, phaseSpanOf } from './spans.ts'
import type { EventOf, RestoreState } from './state.ts'

/** The part of the reducer that follows a transfer process: its figures, and its requests that failed. */

/** A network that is bad for hours makes so many spans for each transfer at most; the counter has them all. */
const MOST_REQUEST_SPANS = 100

/**
 * The figures count from the transfer's start, and the state has those of the last look: what an earlier agent counted
 * does not count again.
 */
export function followTransfer(before: RestoreState, { position, transfer, atMs }: EventOf<'sample'>): RestoreState {
  if (!transfer) return before
  const last = before.transfers[position] ?? null
  const state = addRequestSpans(countRetries(before, position, last, transfer), position, last, { transfer, atMs })
  return { ...state, transfers: { ...state.transfers, [position]: transfer } }
}

/** A run that begins has a transfer of its own. */
export function forgetTransfer(state: RestoreState, { element, kind }: RunId): RestoreState {
  if (kind !== 'extract' || state.transfers[element] === undefined) return state
  const { [element]: _, ...transfers } = state.transfers
  return { ...state, transfers }
}

type Figures = RestoreState['transfers'][string]

/** Of the newest request that failed; 0 before the first. */
const numberOf = ({ failedRequests }: Figures): number => failedRequests.at(-1)?.number ?? 0

function countRetries(state: RestoreState, position: number, last: Figures | null, { retries }: Figures): RestoreState {
  const name = state.plan?.elements[position - 1]?.name
  if (name === undefined) return state
  const { sourceRetries } = state.counters
  const counted = { ...sourceRetries[name] }
  for (const [type, count] of Object.entries(retries))
    counted[type] = (counted[type] ?? 0) + Math.max(0, count - (last?.retries[type] ?? 0))
  return { ...state, counters: { ...state.counters, sourceRetries: { ...sourceRetries, [name]: counted } } }
}

function addRequestSpans(
  before: RestoreState,
  position: number,
  last: Figures | null,
  { transfer, atMs }: { transfer: Figures; atMs: number },
): RestoreState {
  const seen = last === null ? 0 : numberOf(last)
  const parent = phaseSpanOf(before, position) ?? openSpanOf(before, 'attempt')
  let state = before
  for (const { number, startedAtMs, endedAtMs, type } of transfer.failedRequests) {
    if (number <= seen || number > MOST_REQUEST_SPANS) continue
    const end = Math.min(atMs, endedAtMs)
    state = addEndedSpan(state, {
      kind: 'request',
      name: 'source request',
      parent,
      // Another process's clock is this machine's, but it may have been set.
      atMs: Math.min(startedAtMs, end),
      endedAtMs: end,
      attributes: { 'error.type': type, ...(/^\d{3}$/.test(type) && { 'http.response.status_code': Number(type) }) },
      error: { code: 'source_unreachable', message: `a request for the bytes failed (${type}) and was made again` },
    })
  }
  return state
}
