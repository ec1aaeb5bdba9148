import { ERRORS } from '../errors.ts'
import { MOVE_BACK } from './run-labels.ts'
import { endSpans } from './spans.ts'
import type { RestoreEvent, RestoreState } from './state.ts'

/**
 * A later agent takes over. Where the tools go on, their spans and all above them stay open under it. Where they do not,
 * every span but the root ends when the dead agent was last seen alive, as interrupted.
 */
export function resume(before: RestoreState, event: Extract<RestoreEvent, { type: 'resumed' }>): RestoreState {
  const state: RestoreState = {
    ...before,
    agentPid: event.agentPid,
    bootId: event.bootId,
    resumeLink: event.link,
    trace: { ...before.trace, idPrefix: event.idPrefix, nextId: 1 },
    counters: { lines: {}, linesDropped: {}, ioReadBytes: {}, ioWriteBytes: {}, cpuSeconds: {}, attempts: 0 },
  }
  if (event.adopted) return state
  // After a reboot nobody knows which of the extracted files had reached the disk: they are brought again. What was moved
  // already stays, and meets the last checks.
  const rebooted = before.bootId !== event.bootId && !before.begun.includes(MOVE_BACK)
  const { hint } = ERRORS.interrupted
  const error = { code: 'interrupted', message: `agent ${before.agentPid} died`, lastWords: [], hint } as const
  return endSpans({ ...state, ...lost(state, rebooted) }, span => span.kind !== 'restore', {
    atMs: event.lastSeenAtMs,
    error,
    attributes: { 'restore.agent.pid': before.agentPid },
  })
}

const lost = ({ finished, interruptions }: RestoreState, rebooted: boolean) => ({
  tools: [],
  finished: rebooted ? [] : finished,
  interruptions: interruptions + 1,
})
