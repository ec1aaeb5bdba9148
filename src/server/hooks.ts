import type { Hook } from '../config/serve-config.ts'
import type { HookEvent } from '../config/serve-schema.ts'
import type { RestoreState } from '../restore/state/state.ts'
import type { AgentLog } from './agent-log.ts'
import { type RunFacts, restoreBody, restoreStatusBody } from './restore-body.ts'
import { type RunningHook, runHook } from './run-hook.ts'

/**
 * Tells others what happens to a restore: commands from the configuration, begun in the order of what they are about. Never in
 * the restore's way: a few run at a time, some more wait, and beyond that the newest is left out and the log says so.
 */
export interface Hooks {
  observe(state: RestoreState, run: RunFacts): void
  /** Begins none for what comes from now on; waits for what runs and waits, `graceMs` at most, then ends it. */
  close(graceMs: number): Promise<void>
}

export interface HooksSurroundings {
  hooks(): Readonly<Record<HookEvent, readonly Hook[]>>
  /** Environment with the trace context of this span. */
  childEnv(spanId: string, state: RestoreState): Readonly<Record<string, string>>
  log: AgentLog
}

const MOST_RUNNING = 4
const MOST_WAITING = 64

interface Due {
  event: HookEvent
  hook: Hook
  input: string
  env: Readonly<Record<string, string>>
}

export function createHooks({ hooks, childEnv, log }: HooksSurroundings): Hooks {
  const running = new Set<RunningHook>()
  const waiting: Due[] = []
  let seen: Seen | null = null
  let idle: (() => void) | null = null
  let closed = false

  function begin({ event, hook, input, env }: Due): void {
    const started = runHook(hook, input, env)
    running.add(started)
    void started.ended.then(complaint => {
      running.delete(started)
      if (complaint !== null) log('warning', 'hook', `${event} ${hook.command[0]}: ${complaint}`)
      const next = waiting.shift()
      if (next !== undefined) begin(next)
      else if (running.size === 0) idle?.()
    })
  }

  return {
    observe(state, run) {
      if (closed) return
      const events = eventsBetween(seen, state)
      seen = seenIn(state)
      for (const event of events) {
        const due = hooks()[event]
        if (due.length === 0) continue
        const input = `${JSON.stringify(restoreStatusBody(restoreBody(state, run)))}\n`
        const env = { ...childEnv(spanOf(state), state), RESTORE_AGENT_EVENT: event }
        for (const hook of due) {
          if (running.size < MOST_RUNNING) begin({ event, hook, input, env })
          else if (waiting.length < MOST_WAITING) waiting.push({ event, hook, input, env })
          else log('warning', 'hook', `${event} ${hook.command[0]}: left out, ${MOST_WAITING} hooks wait already`)
        }
      }
    },
    async close(graceMs) {
      closed = true
      if (running.size === 0) return
      const allEnded = new Promise<void>(resolve => {
        idle = resolve
      })
      const timer = setTimeout(() => {
        for (const { event, hook } of waiting.splice(0))
          log('warning', 'hook', `${event} ${hook.command[0]}: left out, the agent ends`)
        for (const hook of running) hook.end()
      }, graceMs)
      await allEnded
      clearTimeout(timer)
    },
  }
}

interface Seen {
  restoreId: string
  status: RestoreState['status']
  place: string
  stalled: boolean
}

const seenIn = (state: RestoreState): Seen => ({
  restoreId: state.restoreId,
  status: state.status,
  // A phase comes again with every element and attempt.
  place: `${state.attempt}/${state.position}/${state.phase}`,
  stalled: state.progress.stalled,
})

/** What a state says that the one before did not. The end of a restore is a phase too: its hook comes first. */
export function eventsBetween(before: Seen | null, state: RestoreState): HookEvent[] {
  const now = seenIn(state)
  const was = before?.restoreId === now.restoreId ? before : null
  const events: HookEvent[] = []
  // The state before the first attempt is not a phase that anybody is in.
  if (state.attempt > 0 && was?.place !== now.place) events.push('phase_change')
  if (now.status !== 'running' && was?.status !== now.status)
    events.push(now.status === 'succeeded' ? 'success' : 'failure')
  if (now.status === 'running' && now.stalled && !was?.stalled) events.push('stall')
  return events
}

/** The innermost open span that is not a tool's; at the end, the restore's own, which has just ended. */
const spanOf = (state: RestoreState): string =>
  (state.spans.findLast(({ kind }) => kind !== 'tool') ?? state.endedSpans.find(({ kind }) => kind === 'outcome'))
    ?.id ?? ''
