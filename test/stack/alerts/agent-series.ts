import { PHASES, type Phase, RESTORE_STATUSES, type RestoreStatus } from '../../../src/phases.ts'

/**
 * The series of one agent as promtool takes them, from a script of what the restore does. Times are seconds from the
 * start of the case, with a sample every `stepS`. Gaps reproduce OTLP push: no stale marker ends a series.
 */
export interface AgentScript {
  restore?: string
  instance?: string
  /** First and last export. */
  from?: number
  to: number
  /** State in the last export; `running` where it was killed. */
  ends?: RestoreStatus
  phases: readonly PhaseScript[]
  /** Expected end and deadline, Unix time; absent where unknown. */
  eta?: Value
  deadline?: number
  attempts?: Value
  droppedLines?: Value
  errors?: Readonly<Record<string, number>>
  /** Seconds between exports. */
  stepS?: number
  /** Exports that never arrived: from, to. */
  gap?: readonly [number, number]
}

export interface PhaseScript {
  phase: Phase
  /** Seconds; a phase lasts until the next one or the last export. */
  from?: number
  progress: Value
  /** Null hides it. */
  activity?: Value
  threshold: number
}

type Value = (t: number) => number | null

export interface Series {
  series: string
  values: string
}

/** Moves with the clock until `end`, then stands still. */
export const until =
  (end: number): Value =>
  t =>
    Math.min(t, end)

/** `lag` seconds behind the clock. */
export const behind =
  (lag: number): Value =>
  t =>
    t - lag

export function agentSeries(script: AgentScript): Series[] {
  const { restore = 'r1', instance = 'a', from = 0, to, ends = 'running', stepS = 10, phases } = script
  const runs = (t: number) => phases.findLast(phase => t >= (phase.from ?? 0))
  const over = (t: number) => ends !== 'running' && t >= to
  const inPhase =
    (phase: PhaseScript, value: Value): Value =>
    t =>
      !over(t) && runs(t) === phase ? value(t) : null
  const series = (name: string, labels: Record<string, string>, value: Value): Series => {
    const all = { job: 'restore-agent', instance, host_name: 'db1', restore_id: restore, ...labels }
    const sampled = (t: number) => {
      const [gapFrom, gapTo] = script.gap ?? [Number.NaN, Number.NaN]
      return t < from || t > to || (t > gapFrom && t < gapTo) ? null : value(t)
    }
    return {
      series: `${name}{${Object.entries(all)
        .map(([key, text]) => `${key}="${text}"`)
        .join(',')}}`,
      values: Array.from({ length: Math.floor(to / stepS) + 1 }, (_, i) => sampled(i * stepS) ?? '_').join(' '),
    }
  }
  const optional = (name: string, labels: Record<string, string>, value: Value | undefined) =>
    value === undefined ? [] : [series(name, labels, value)]

  return [
    series('restore_heartbeat_time_seconds', {}, t => t),
    ...RESTORE_STATUSES.map(state =>
      series('restore_status', { restore_state: state }, t => ((over(t) ? ends : 'running') === state ? 1 : 0)),
    ),
    ...PHASES.map(phase =>
      series('restore_phase_status', { restore_phase: phase }, t => (!over(t) && runs(t)?.phase === phase ? 1 : 0)),
    ),
    ...phases.flatMap(phase => [
      series('restore_last_progress_time_seconds', { restore_phase: phase.phase }, inPhase(phase, phase.progress)),
      series(
        'restore_stall_threshold_seconds',
        { restore_phase: phase.phase },
        inPhase(phase, () => phase.threshold),
      ),
      ...optional(
        'restore_activity_time_seconds',
        { restore_phase: phase.phase },
        phase.activity && inPhase(phase, phase.activity),
      ),
    ]),
    ...optional('restore_eta_time_seconds', {}, script.eta),
    ...optional(
      'restore_deadline_time_seconds',
      {},
      script.deadline === undefined ? undefined : () => script.deadline!,
    ),
    ...optional('restore_attempts_total', {}, script.attempts),
    ...optional('restore_tool_lines_dropped_total', { restore_phase: phases[0]?.phase ?? '' }, script.droppedLines),
    ...Object.entries(script.errors ?? {}).map(([type, count]) =>
      series('restore_errors_total', { error_type: type }, t => (t >= to ? count : 0)),
    ),
  ]
}
