import { type AgentScript, agentSeries, behind, type PhaseScript, type Series, until } from './agent-series.ts'

/** What fires when. An alert that a look does not name must be silent then. */
export interface AlertCase {
  name: string
  /** Seconds between exports and between evaluations; long cases take a minute, to be quick. */
  stepS?: number
  series: readonly Series[]
  looks: readonly Look[]
  /** PromQL that gives one value; its labels as promtool writes them, none unless given. */
  queries?: readonly { expr: string; at: number; value: number; labels?: string }[]
}

interface Look {
  /** Seconds from the start. */
  at: number
  firing: readonly Firing[]
}

export interface Firing {
  alert: string
  labels: Readonly<Record<string, string>>
  summary: string
}

const MINUTE = 60
const HOUR = 3600

const agentLabels = { job: 'restore-agent', instance: 'a', host_name: 'db1', restore_id: 'r1' }
const inPrepare = { ...agentLabels, restore_phase: 'preparing_backup' }

const stuck = (forText: string, phase = 'preparing_backup'): Firing => ({
  alert: 'RestoreStalled',
  labels: { ...inPrepare, restore_phase: phase, severity: 'critical', activity: 'none' },
  summary: `Restore r1 is stuck in ${phase}: no progress for ${forText}, and the tool does nothing`,
})
const slow = (forText: string): Firing => ({
  alert: 'RestoreStalled',
  labels: { ...inPrepare, severity: 'warning', activity: 'working or hidden' },
  summary: `Restore r1 shows no progress in preparing_backup for ${forText}, but the tool works`,
})
const vanished = (forText: string): Firing => ({
  alert: 'RestoreAgentVanished',
  labels: { ...agentLabels, severity: 'critical' },
  summary: `Nothing heard of restore r1 for ${forText}: its agent died, or its telemetry does not arrive`,
})
const failed = (...errorTypes: string[]): Firing => ({
  alert: 'RestoreFailed',
  labels: { ...agentLabels, restore_state: 'failed', severity: 'critical' },
  summary: ['Restore r1 failed:', ...errorTypes].join(' '),
})
const retrying = (attempts: number): Firing => ({
  alert: 'RestoreRetrying',
  labels: { restore_id: 'r1', severity: 'warning' },
  summary: `Restore r1 has begun ${attempts} attempts within an hour`,
})
const late: Firing = {
  alert: 'RestoreDeadlineAtRisk',
  labels: { ...agentLabels, severity: 'warning' },
  summary: 'Restore r1 is not expected to end by its deadline',
}
const flooding = (rate: string): Firing => ({
  alert: 'RestoreToolFlooding',
  labels: { ...inPrepare, severity: 'warning' },
  summary: `The tool of restore r1 prints without end in preparing_backup (${rate} lines a second beyond the limit) and makes no progress`,
})

const prepare = (script: Partial<PhaseScript> = {}): PhaseScript => ({
  phase: 'preparing_backup',
  progress: behind(5),
  activity: behind(1),
  threshold: 240,
  ...script,
})
const healthy = (script: Partial<AgentScript> & { to: number }): AgentScript => ({ phases: [prepare()], ...script })

export const ALERT_CASES: readonly AlertCase[] = [
  {
    name: 'a server that applies binlogs and does nothing stalls as a tool does',
    series: agentSeries({
      to: 20 * MINUTE,
      phases: [
        prepare(),
        prepare({ phase: 'applying_binlogs', from: 200, progress: until(300), activity: until(300) }),
      ],
    }),
    looks: [
      { at: 560, firing: [] },
      { at: 600, firing: [stuck('5m 0s', 'applying_binlogs')] },
    ],
  },
  {
    name: 'a dead tool stalls: critical, once threshold and `for` have passed',
    series: agentSeries({ to: 20 * MINUTE, phases: [prepare({ progress: until(300), activity: until(300) })] }),
    looks: [
      { at: 560, firing: [] },
      { at: 570, firing: [stuck('4m 30s')] },
      { at: 20 * MINUTE, firing: [stuck('15m 0s')] },
    ],
  },
  {
    name: 'a quiet tool that works stalls: only a warning, also when it last worked 40 s ago',
    series: agentSeries({ to: 20 * MINUTE, phases: [prepare({ progress: until(300), activity: behind(40) })] }),
    looks: [
      { at: 560, firing: [] },
      { at: 570, firing: [slow('4m 30s')] },
    ],
  },
  {
    name: 'a tool whose activity is hidden stalls: only a warning',
    series: agentSeries({
      to: 20 * MINUTE,
      phases: [{ phase: 'preparing_backup', progress: until(300), threshold: 240 }],
    }),
    looks: [{ at: 570, firing: [slow('4m 30s')] }],
  },
  {
    name: 'a warning becomes critical when the tool stops working, and ends when progress moves',
    series: agentSeries({
      to: 30 * MINUTE,
      phases: [
        prepare({ progress: t => (t < 1200 ? Math.min(t, 300) : t), activity: t => (t < 1200 ? Math.min(t, 660) : t) }),
      ],
    }),
    looks: [
      { at: 660, firing: [slow('6m 0s')] },
      { at: 740, firing: [] },
      { at: 750, firing: [stuck('7m 30s')] },
      { at: 1200, firing: [] },
      { at: 1300, firing: [] },
    ],
  },
  {
    name: 'a legitimate long step is silent for its whole threshold',
    series: agentSeries({ to: 59 * MINUTE, phases: [prepare({ progress: until(60), threshold: HOUR })] }),
    looks: [10, 30, 59].map(minute => ({ at: minute * MINUTE, firing: [] })),
  },
  {
    name: 'an export as late as 80 s changes nothing, then the agent is no longer believed',
    series: agentSeries({ to: 540, phases: [prepare({ progress: until(100), activity: until(100) })] }),
    looks: [
      { at: 620, firing: [stuck('8m 40s')] },
      { at: 630, firing: [] },
      { at: 690, firing: [vanished('2m 30s')] },
    ],
  },
  {
    name: 'an ended phase does not stall while its last sample is still in the look-back',
    series: agentSeries({
      to: 30 * MINUTE,
      phases: [
        { phase: 'restoring_basebackup', progress: until(290), activity: until(290), threshold: 60 },
        prepare({ from: 300 }),
      ],
    }),
    looks: [320, 400, 500, 590].map(at => ({ at, firing: [] })),
  },
  {
    name: 'an ended phase whose activity was hidden does not stall either',
    series: agentSeries({
      to: 30 * MINUTE,
      phases: [{ phase: 'restoring_basebackup', progress: until(290), threshold: 60 }, prepare({ from: 300 })],
    }),
    looks: [320, 400, 500, 590].map(at => ({ at, firing: [] })),
  },
  {
    name: 'an agent that another one replaced neither stalls nor vanished',
    series: [
      ...agentSeries({ to: 300, phases: [prepare({ progress: until(280), activity: until(300), threshold: 30 })] }),
      ...agentSeries({ to: 30 * MINUTE, instance: 'b', from: 320, phases: [prepare({ threshold: 30 })] }),
    ],
    looks: [340, 350, 360, 380, 460, 500, 1700].map(at => ({ at, firing: [] })),
  },
  {
    name: 'an agent that died in mid-restore vanished, and nothing else is said of it',
    series: agentSeries(
      healthy({
        to: 600,
        deadline: 500,
        attempts: () => 3,
        droppedLines: t => t * 200,
        phases: [prepare({ progress: until(10) })],
      }),
    ),
    looks: [
      { at: 700, firing: [] },
      { at: 740, firing: [] },
      { at: 750, firing: [vanished('2m 30s')] },
    ],
  },
  {
    name: 'an agent that vanished is spoken of for six hours',
    stepS: MINUTE,
    series: agentSeries(healthy({ to: 600, stepS: MINUTE })),
    looks: [
      { at: 600 + 5.9 * HOUR, firing: [vanished('5h 54m 0s')] },
      { at: 600 + 6.1 * HOUR, firing: [] },
    ],
  },
  {
    name: 'one restore vanishes while another goes on',
    series: [...agentSeries(healthy({ to: 600 })), ...agentSeries(healthy({ restore: 'r2', instance: 'b', to: HOUR }))],
    looks: [{ at: 760, firing: [vanished('2m 40s')] }],
  },
  {
    name: 'exports that are missing for 100 s are no death',
    series: agentSeries(healthy({ to: 20 * MINUTE, gap: [600, 700] })),
    looks: [{ at: 690, firing: [] }],
  },
  {
    name: 'a finished restore is silent, also one that another agent finished',
    series: [
      ...agentSeries(healthy({ to: 300 })),
      ...agentSeries(healthy({ instance: 'b', from: 320, to: 900, ends: 'succeeded', deadline: 100_000 })),
      ...agentSeries(healthy({ restore: 'r2', to: 900, ends: 'cancelled' })),
    ],
    looks: [880, 900, 910, 990, 1100, 2 * HOUR].map(at => ({ at, firing: [] })),
  },
  {
    name: 'a failed restore: at once, with its error types, for an hour',
    series: agentSeries(
      healthy({ to: 600, ends: 'failed', errors: { disk_full: 1, prepare_failed: 1, wrong_key: 0 } }),
    ),
    looks: [
      { at: 590, firing: [] },
      { at: 600, firing: [failed('disk_full', 'prepare_failed')] },
      { at: 600 + 58 * MINUTE, firing: [failed('disk_full', 'prepare_failed')] },
      { at: 600 + 62 * MINUTE, firing: [] },
    ],
  },
  {
    name: 'a failed restore that was started again: the new one has another id, and the failure is told for its hour',
    series: [
      ...agentSeries(healthy({ to: 600, ends: 'failed' })),
      ...agentSeries(healthy({ restore: 'r2', from: 700, to: 1300, ends: 'succeeded' })),
    ],
    looks: [
      { at: 690, firing: [failed()] },
      { at: 1300, firing: [failed()] },
      { at: 600 + 58 * MINUTE, firing: [failed()] },
      { at: 600 + 62 * MINUTE, firing: [] },
    ],
  },
  {
    name: 'the third attempt within an hour, also counted over agents',
    series: [
      ...agentSeries(healthy({ to: HOUR, attempts: t => (t < 600 ? 1 : 2) })),
      ...agentSeries(healthy({ instance: 'b', from: 3610, to: 4000, attempts: () => 1 })),
    ],
    looks: [
      { at: 700, firing: [] },
      { at: 3590, firing: [] },
      { at: 3600, firing: [] },
    ],
  },
  {
    name: 'three attempts of one agent, spread over the hour',
    series: agentSeries(healthy({ to: 2 * HOUR, attempts: t => (t < 1200 ? 1 : t < 2400 ? 2 : 3) })),
    looks: [
      { at: 2390, firing: [] },
      { at: 2400, firing: [retrying(3)] },
      { at: 3590, firing: [retrying(3)] },
      { at: 3600, firing: [] },
    ],
  },
  {
    name: 'one attempt each of three agents, the third one still at it',
    series: [
      ...agentSeries(healthy({ to: 600, attempts: () => 1 })),
      ...agentSeries(healthy({ instance: 'b', from: 700, to: 1300, attempts: () => 1 })),
      ...agentSeries(healthy({ instance: 'c', from: 1400, to: 3500, attempts: () => 1 })),
    ],
    looks: [
      { at: 1390, firing: [] },
      { at: 1400, firing: [retrying(3)] },
      { at: 3500, firing: [retrying(3)] },
    ],
  },
  {
    name: 'a restore resumed once, or begun three times and ended, is not retrying',
    series: [
      ...agentSeries(healthy({ to: 600, attempts: () => 1 })),
      ...agentSeries(healthy({ instance: 'b', from: 620, to: 1300, attempts: () => 1 })),
      ...agentSeries(healthy({ restore: 'r2', to: 1300, ends: 'succeeded', attempts: () => 2 })),
    ],
    looks: [
      { at: 640, firing: [] },
      { at: 1300, firing: [] },
    ],
  },
  {
    name: 'attempts of a restore that has ended are no retrying',
    series: agentSeries(healthy({ to: 600, ends: 'succeeded', attempts: t => (t < 500 ? 1 : 4) })),
    looks: [
      { at: 590, firing: [retrying(4)] },
      { at: 600, firing: [] },
      { at: 650, firing: [] },
    ],
  },
  {
    name: 'attempts long ago do not count, also when the samples of an hour ago are missing',
    stepS: MINUTE,
    series: agentSeries(
      healthy({
        to: 6 * HOUR,
        stepS: MINUTE,
        attempts: t => Math.min(3, 1 + Math.floor(t / 2500)),
        gap: [4 * HOUR, 4 * HOUR + 40 * MINUTE],
      }),
    ),
    looks: [1.5 * HOUR, 3.9 * HOUR, 5 * HOUR, 5.1 * HOUR, 5.6 * HOUR].map(at => ({ at, firing: [] })),
  },
  {
    name: 'an estimate beyond the deadline, for five minutes',
    series: agentSeries(healthy({ to: 2 * HOUR, deadline: HOUR, eta: t => (t < 300 ? 3000 : 4000) })),
    looks: [
      { at: 590, firing: [] },
      { at: 600, firing: [late] },
      { at: 2 * HOUR, firing: [late] },
    ],
  },
  {
    name: 'an estimate before the deadline',
    series: agentSeries(healthy({ to: 50 * MINUTE, deadline: HOUR, eta: () => 3000 })),
    looks: [
      { at: 600, firing: [] },
      { at: 50 * MINUTE, firing: [] },
    ],
  },
  {
    name: 'a deadline that has passed while nobody knows when it ends; silent at once when it has ended',
    series: agentSeries(healthy({ to: 1200, ends: 'succeeded', deadline: 600 })),
    looks: [
      { at: 600, firing: [] },
      { at: 900, firing: [] },
      { at: 910, firing: [late] },
      { at: 1190, firing: [late] },
      { at: 1210, firing: [] },
    ],
  },
  {
    name: 'an estimate that a dead agent left behind',
    series: [
      ...agentSeries(healthy({ to: 300, deadline: HOUR, eta: t => (t < 180 ? 3000 : 4000) })),
      ...agentSeries(healthy({ instance: 'b', from: 320, to: 1200, deadline: HOUR, eta: () => 3000 })),
    ],
    looks: [480, 500, 590].map(at => ({ at, firing: [] })),
  },
  {
    name: 'a tool that prints in bursts without end and gets nowhere',
    series: agentSeries(
      healthy({
        to: 1200,
        droppedLines: t => 1500 * Math.floor(Math.max(0, t - 300) / 60),
        phases: [prepare({ progress: until(300), threshold: HOUR })],
      }),
    ),
    looks: [
      { at: 480, firing: [] },
      { at: 490, firing: [flooding('27.27')] },
      { at: 1200, firing: [flooding('27.27')] },
    ],
  },
  {
    name: 'a flood that ended, though progress still stands',
    series: agentSeries(
      healthy({
        to: 1800,
        droppedLines: t => 200 * Math.min(600, Math.max(0, t - 100)),
        phases: [prepare({ progress: until(100), threshold: HOUR })],
      }),
    ),
    looks: [
      { at: 600, firing: [flooding('200')] },
      { at: 900, firing: [] },
      { at: 1000, firing: [] },
    ],
  },
  {
    name: 'many lines with progress, few lines without, and a flood half a minute after progress',
    series: [
      ...agentSeries(healthy({ to: 1200, droppedLines: t => t * 200 })),
      ...agentSeries(
        healthy({
          restore: 'r2',
          to: 1200,
          droppedLines: t => t * 8,
          phases: [prepare({ progress: until(0), threshold: HOUR })],
        }),
      ),
      ...agentSeries(
        healthy({ restore: 'r3', to: 1200, droppedLines: t => t * 200, phases: [prepare({ progress: behind(40) })] }),
      ),
    ],
    looks: [{ at: 1000, firing: [] }],
  },
  {
    name: 'a flood ends with its phase',
    series: agentSeries({
      to: 1200,
      droppedLines: t => 200 * Math.min(600, t),
      phases: [
        prepare({ progress: until(10), threshold: HOUR }),
        { phase: 'finalizing', from: 600, progress: behind(1), threshold: 240 },
      ],
    }),
    looks: [
      { at: 590, firing: [flooding('200')] },
      { at: 620, firing: [] },
    ],
  },
  {
    name: 'a flood ends with its agent',
    series: agentSeries(
      healthy({ to: 600, droppedLines: t => 200 * t, phases: [prepare({ progress: until(10), threshold: HOUR })] }),
    ),
    looks: [
      { at: 600, firing: [flooding('200')] },
      { at: 690, firing: [] },
    ],
  },
  {
    name: 'a flood that another agent took over from',
    series: [
      ...agentSeries(
        healthy({ to: 600, droppedLines: t => 200 * t, phases: [prepare({ progress: until(10), threshold: HOUR })] }),
      ),
      ...agentSeries(healthy({ instance: 'b', from: 620, to: 1200 })),
    ],
    looks: [{ at: 640, firing: [] }],
  },
  {
    name: 'agents with one and the same service.instance.id: a dead restore is not alive because the next one is',
    series: [
      ...agentSeries(
        healthy({
          to: 600,
          deadline: 100,
          droppedLines: t => 200 * t,
          phases: [prepare({ progress: until(10), activity: behind(80), threshold: 60 })],
        }),
      ),
      ...agentSeries(healthy({ restore: 'r2', from: 620, to: 1200 })),
    ],
    looks: [
      { at: 690, firing: [] },
      { at: 700, firing: [] },
    ],
  },
  {
    name: 'agents with one and the same service.instance.id, with hidden activity',
    series: [
      ...agentSeries({ to: 600, phases: [{ phase: 'preparing_backup', progress: until(10), threshold: 60 }] }),
      ...agentSeries(healthy({ restore: 'r2', from: 620, to: 1200 })),
    ],
    looks: [{ at: 690, firing: [] }],
  },
  {
    name: 'agents with one and the same service.instance.id: an ended restore did not vanish',
    series: [
      ...agentSeries(healthy({ to: 300 })),
      ...agentSeries(healthy({ instance: 'b', from: 400, to: 600, ends: 'succeeded' })),
      ...agentSeries(healthy({ restore: 'r2', from: 610, to: 1200 })),
      ...agentSeries(healthy({ restore: 'r3', instance: 'b', from: 610, to: 1200 })),
    ],
    looks: [
      { at: 700, firing: [] },
      { at: 900, firing: [] },
    ],
  },
]
