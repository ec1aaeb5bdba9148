/**
 * MyHoard's number, exactly as its master computes it (7f2e070, `basebackup_restore_operation.py`):
 *
 *   percent = int(100 (current - first) / (last - first)), 0-100; 100 where last - first is not above 0
 *
 * `last` is last_lsn of the checkpoints, `first` the first LSN of a line, `current` the highest. An LSN that is not
 * above the current one is ignored. A scan line is ignored while last_lsn is unknown. The line of a completed shutdown
 * brings the LSN that it names, so a prepare without scan lines shows 100. The number is null until `first` and `last`
 * are known. It stands at 100 while pages are applied and rows rolled back: that is why it is not ours.
 *
 * For mariadb-backup, whose lines its patterns do not match, the same arithmetic on the LSNs of `Read redo log up to`
 * and `To recover: LSN`.
 */
import type { ToolEvent } from '../tool/events.ts'
import type { WorkFacts } from './progress.ts'

export const initialMyHoard = { firstLsn: null as number | null, currentLsn: null as number | null }
export type MyHoard = Readonly<typeof initialMyHoard>

export function myHoardAfter(before: MyHoard, event: ToolEvent, facts: WorkFacts): MyHoard {
  const lsn = lsnOf(event, facts)
  if (lsn === null || (before.currentLsn !== null && lsn <= before.currentLsn)) return before
  return { firstLsn: before.firstLsn ?? lsn, currentLsn: lsn }
}

function lsnOf(event: ToolEvent, { tool, lastLsn }: WorkFacts): number | null {
  if (event.type === 'redo_scanned') return lastLsn === null ? null : event.lsn
  if (tool === 'mariadb-backup') return event.type === 'pages_left' ? event.lsn : null
  return event.type === 'shutdown_completed' ? event.lsn : null
}

/** 0-100, or null while unknown. */
export function myHoardPercent({ firstLsn, currentLsn }: MyHoard, lastLsn: number | null): number | null {
  if (firstLsn === null || currentLsn === null || lastLsn === null) return null
  const span = lastLsn - firstLsn
  if (span <= 0) return 100
  return Math.max(0, Math.min(100, Math.trunc((100 * (currentLsn - firstLsn)) / span)))
}
