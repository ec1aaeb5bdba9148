import { complete } from '../../src/config/options.ts'
import { initialState } from '../../src/restore/state/reduce.ts'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { refs } from './source-refs.ts'

/** A state in its first attempt with nothing known and no span open, for tests that make the rest by hand. */
export const blankState = (restoreId: string, traceId: string, idPrefix: string, atMs: number): RestoreState => {
  const surroundings = { cwd: '/', env: {}, isRoot: true, nowMs: atMs }
  const first = initialState(
    {
      restoreId,
      agentPid: process.pid,
      bootId: 'boot',
      options: complete({ source: refs('/backups/full.xb'), datadir: '/var/lib/mysql' }, surroundings),
      trace: { traceId, flags: 1, traceState: null, parentSpanId: null, idPrefix, nextId: 10 },
      link: null,
      attributes: {},
    },
    atMs,
  )
  return { ...first, attempt: 1, counters: { ...first.counters, attempts: 1 }, spans: [], endedSpans: [] }
}
