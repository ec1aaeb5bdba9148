import type { Progress } from '../../../src/progress/progress.ts'
import type { Plan, PlanStep } from '../../../src/restore/plan/plan.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { restoreBody } from '../../../src/server/restore-body.ts'
import { blankState } from '../../support/blank-state.ts'

export const T0 = Date.UTC(2026, 10, 23, 2, 0, 0)

/** The body of a state, as a view of the one-shot command gets it. */
export const bodyOf = (state: RestoreState) => restoreBody(state, { backup: '' })

type Changes = Partial<Omit<RestoreState, 'progress'>> & { progress?: Partial<Progress> }

/** A state made by hand: running, in `getting_backup_info`, nothing known; with what the test is about. */
export function sampleState({ progress, ...changes }: Changes = {}): RestoreState {
  const atMs = changes.updatedAtMs ?? T0
  return {
    ...blankState('0192-r1', '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa', T0),
    updatedAtMs: atMs,
    estimator: {} as RestoreState['estimator'],
    ...changes,
    progress: {
      phasePercent: null,
      restorePercent: null,
      scanPercent: null,
      step: changes.step ?? null,
      eta: null,
      lastProgressAtMs: atMs,
      lastActivityAtMs: atMs,
      quietSinceMs: null,
      activity: 'progressing',
      stalled: false,
      stallThresholdMs: 1_800_000,
      ...progress,
    },
  }
}

/** The same in the redo scan of a backup's prepare. */
export const preparing = (changes: Changes = {}): RestoreState =>
  sampleState({
    plan: samplePlan(),
    chainLength: 1,
    position: 1,
    phase: 'preparing_backup',
    step: 'redo_scan',
    ...changes,
  })

/** A plan of so many elements, with extract, prepare and move-back. */
export function samplePlan(elements = 1, changes: Partial<Plan> = {}): Plan {
  const steps: PlanStep[] = []
  const command = { file: 'tool', args: [] }
  for (let element = 1; element <= elements; element++) {
    steps.push({ kind: 'extract', phase: 'restoring_basebackup', element, stages: [], into: '/t' } as PlanStep)
    steps.push({ kind: 'prepare', phase: 'preparing_backup', element } as Partial<PlanStep> as PlanStep)
  }
  steps.push({ kind: 'move_back', phase: 'preparing_backup', element: elements, command } as PlanStep)
  steps.push({ kind: 'verify', phase: 'finalizing', element: elements })
  return {
    datadir: '/var/lib/mysql',
    targetDir: '/var/lib/mysql.restore-1',
    inPlace: false,
    tool: { family: 'mariadb-backup', path: '/usr/bin/mariadb-backup', version: '10.11.6' },
    memory: null,
    owner: null,
    deadlineMs: null,
    elements: [],
    steps,
    ...changes,
  } as Plan
}
