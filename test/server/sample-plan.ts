import type { RestoreOptions } from '../../src/config/options.ts'
import type { Plan, PlanStep } from '../../src/restore/plan/plan.ts'
import { nameOfSource } from '../../src/source/source-ref.ts'

/** A plan as the coordinator would make it for these sources: element n holds n * 1000 bytes. */
export function samplePlan({ sources, datadir }: Pick<RestoreOptions, 'sources' | 'datadir'>): Plan {
  const command = { file: 'tool', args: [] }
  const steps = sources.flatMap((_, index): PlanStep[] => [
    { kind: 'extract', phase: 'restoring_basebackup', element: index + 1, stages: [], into: '/t' },
    {
      kind: 'prepare',
      phase: 'preparing_backup',
      element: index + 1,
      command,
      directory: '/t',
      incrementalDir: null,
      last: index + 1 === sources.length,
    },
  ])
  return {
    datadir,
    targetDir: `${datadir}.restore-1`,
    inPlace: false,
    tool: {
      family: 'mariadb-backup',
      path: '/usr/bin/mariadb-backup',
      extractor: '/usr/bin/mbstream',
      version: '10.11.6',
    },
    memory: null,
    owner: null,
    runAs: null,
    deadlineMs: null,
    moveBack: null,
    binlogs: null,
    elements: sources.map((source, index) => ({
      name: nameOfSource(source),
      source,
      identity: null,
      directory: '/t',
      extracted: null,
      description: {
        name: nameOfSource(source),
        kind: index === 0 ? 'full' : 'incremental',
        storedBytes: (index + 1) * 1000,
        binlog: { file: 'binlog.000002', position: 342, gtid: '0-7-42' },
        lastLsn: 5000,
        dataBytes: 10_000,
      } as Plan['elements'][number]['description'],
    })),
    steps: [
      ...steps,
      { kind: 'move_back', phase: 'preparing_backup', element: sources.length, command },
      { kind: 'verify', phase: 'finalizing', element: sources.length },
    ],
  }
}
