import type { Hook } from '../config/serve-config.ts'
import type { HookEvent } from '../config/serve-schema.ts'
import type { RestoreState } from '../restore/state/state.ts'
import type { AgentLog } from './agent-log.ts'
import { type RunFacts, restoreBody, restoreStatusBody } from './restore-body.ts'
import { type RunningHook, runHook } from './run-hook.ts'

/**
 * Runs the commands that serve.yaml configures for events of a restore, in the order of the events. The restore never
 * waits for one. A few run at a time, some are queued, and the log names those that are dropped.
 */
export interface Hooks {
  observe(state: RestoreState, run: RunFacts): void
  /** Starts no hook for later events. Waits `graceMs` for those that run or wait, then ends them. */
  close(graceMs: number): Promise<void>
}

export interface HooksSurroundings {
  hooks(): Readonly<Record<HookEvent, readonly Hook[]>>
  /** The agent's environment with the trace context of this span. */
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
        const env = { ...allowed(childEnv(spanOf(state), state)), RESTORE_AGENT_EVENT: event }
        for (const hook of due) {
          if (running.size < MOST_RUNNING) begin({ event, hook, input, env })
          else if (waiting.length < MOST_WAITING) waiting.push({ event, hook, input, env })
          else log('warning', 'hook', `${event} ${hook.command[0]}: dropped, ${MOST_WAITING} hooks wait already`)
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
          log('warning', 'hook', `${event} ${hook.command[0]}: dropped, the agent ends`)
        for (const hook of running) hook.end()
      }, graceMs)
      await allEnded
      clearTimeout(timer)
    },
  }
}

/** A hook gets these variables of the agent's environment and no others: the rest may hold secrets. */
const ALLOWED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TRACEPARENT|TRACESTATE|BAGGAGE|B3|X_B3_\w+|UBER_TRACE_ID)$/

const allowed = (env: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => ALLOWED.test(name)))

interface Seen {
  restoreId: string
  status: RestoreState['status']
  phase: string
  stalled: boolean
}

const seenIn = (state: RestoreState): Seen => ({
  restoreId: state.restoreId,
  status: state.status,
  // A phase begins again with every element and attempt.
  phase: `${state.attempt}/${state.position}/${state.phase}`,
  stalled: state.progress.stalled,
})

/** The events between two states. The end of a restore is a phase change too, and that event comes first. */
export function eventsBetween(before: Seen | null, state: RestoreState): HookEvent[] {
  const now = seenIn(state)
  const was = before?.restoreId === now.restoreId ? before : null
  const events: HookEvent[] = []
  // Before the first attempt the restore is in no phase.
  if (state.attempt > 0 && was?.phase !== now.phase) events.push('phase_change')
  if (now.status !== 'running' && was?.status !== now.status)
    events.push(now.status === 'succeeded' ? 'success' : 'failure')
  if (now.status === 'running' && now.stalled && !was?.stalled) events.push('stall')
  return events
}

/** The innermost open span that is not a tool's; at the end of the restore, the outcome, which has just ended. */
const spanOf = (state: RestoreState): string =>
  (state.spans.findLast(({ kind }) => kind !== 'tool') ?? state.endedSpans.find(({ kind }) => kind === 'outcome'))
    ?.id ?? ''
