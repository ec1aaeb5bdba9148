import { expect, test } from 'vitest'
import { initialMyHoard, myHoardAfter, myHoardPercent } from '../../src/progress/myhoard.ts'
import { NO_FACTS } from '../../src/progress/state.ts'
import type { ToolEvent } from '../../src/tool/events.ts'

/** What its merged code (7f2e070) shows after each line, at the edges. */
const scan = (lsn: number): ToolEvent => ({ type: 'redo_scanned', lsn })
const shutdown = (lsn: number | null): ToolEvent => ({ type: 'shutdown_completed', lsn })

test.each<[string, number | null, ToolEvent[], (number | null)[]]>([
  [
    'from the first scan line to last_lsn, whole percents',
    400,
    [scan(100), scan(101), scan(250), scan(400)],
    [0, 0, 50, 100],
  ],
  [
    'an LSN that is not above the current one is ignored: so is a second pass',
    300,
    [scan(100), scan(200), scan(100)],
    [0, 50, 50],
  ],
  ['one scan line at last_lsn: a span of nothing is 100', 300, [scan(300)], [100]],
  ['the shutdown line brings the LSN it names, not last_lsn', 300, [scan(100), shutdown(200)], [0, 50]],
  ['which may be above last_lsn', 300, [scan(100), shutdown(5000)], [0, 100]],
  ['without scan lines it is the first LSN too', 300, [shutdown(310)], [100]],
  ['and then 0 where it is below last_lsn', 300, [shutdown(200)], [0]],
  ['a shutdown line without an LSN says nothing', 300, [shutdown(null)], [null]],
  ['unknown while last_lsn is', null, [scan(100), shutdown(310)], [null, null]],
])('%s', (_, lastLsn, events, expected) => {
  const facts = { ...NO_FACTS, tool: 'xtrabackup' as const, lastLsn }
  let state = initialMyHoard
  const shown = events.map(event => {
    state = myHoardAfter(state, event, facts)
    return myHoardPercent(state, lastLsn)
  })
  expect(shown).toEqual(expected)
})

test('a scan line that came while last_lsn was unknown is no first one', () => {
  const facts = { ...NO_FACTS, tool: 'xtrabackup' as const }
  const before = myHoardAfter(initialMyHoard, scan(100), facts)
  const after = myHoardAfter(before, scan(200), { ...facts, lastLsn: 300 })
  expect(after).toEqual({ firstLsn: 200, currentLsn: 200 })
})
