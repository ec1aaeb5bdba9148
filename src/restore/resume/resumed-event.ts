import { ERRORS } from '../../errors.ts'
import { survivingRuns } from '../state/runs.ts'
import { endSpans } from '../state/spans.ts'
import { stallThresholds } from '../state/stall-thresholds.ts'
import type { EventOf, RestoreState } from '../state/state.ts'
import { nothingMade } from './cleanup.ts'

/**
 * A later agent takes over. Where the tools go on, their spans and all above them stay open under it. Where they do not,
 * every span but the root ends when the dead agent was last seen alive, as interrupted. Either way it goes on with the
 * options that this agent was given.
 */
export function resume(before: RestoreState, event: EventOf<'resumed'>): RestoreState {
  const state: RestoreState = {
    ...before,
    ...withOptions(before, event),
    agentPid: event.agentPid,
    bootId: event.bootId,
    resumeLink: event.link,
    trace: { ...before.trace, idPrefix: event.idPrefix, nextId: 1 },
    counters: { lines: {}, linesDropped: {}, ioReadBytes: {}, ioWriteBytes: {}, cpuSeconds: {}, attempts: 0 },
  }
  if (event.adopted) return state
  const { hint } = ERRORS.interrupted
  const error = { code: 'interrupted', message: `agent ${before.agentPid} died`, lastWords: [], hint } as const
  const stands = { ...state, ...standing(before, event.bootId), interruptions: before.interruptions + 1 }
  return endSpans(stands, span => span.kind !== 'outcome', {
    atMs: event.lastSeenAtMs,
    error,
    attributes: { 'restore.agent.pid': before.agentPid },
  })
}

/** What was measured and chosen for the options before does not bind the ones that are given now. */
const withOptions = (before: RestoreState, { options, plan }: EventOf<'resumed'>): Partial<RestoreState> => ({
  options,
  plan,
  estimator: { ...before.estimator, thresholds: stallThresholds(options) },
  memoryCapBytes: options.memory === before.options.memory ? before.memoryCapBytes : null,
  ...(plan === null && before.plan !== null && { chainLength: 0, made: nothingMade() }),
})

/** What stands of a restore whose tools are gone. */
export const standing = (state: RestoreState, bootIdNow: string): Pick<RestoreState, 'tools' | 'runs'> => ({
  tools: [],
  runs: survivingRuns(state, bootIdNow),
})
