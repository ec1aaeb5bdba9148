import { expect, test } from 'vitest'
import { plannedServer } from '../../../src/restore/plan/inputs.ts'
import { sampleParts } from '../../support/samples.ts'

test('binlogs of a backup that no applier is driven for are refused before the work, not left out', () => {
  const parts = sampleParts({ tool: 'xtrabackup' })
  const options = { ...parts.options, binlogs: { kind: 'path' as const, path: '/binlogs' } }
  expect(() => plannedServer({ ...parts, options })).toThrow(expect.objectContaining({ code: 'binlog_unsupported' }))
})
