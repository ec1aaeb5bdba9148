/**
 * MyHoard's number (its pull request 232), exactly: the integer part of 100 (current - first) / (last - first), where first
 * is the LSN of the first scan line and last is last_lsn of the checkpoints. An LSN that is not above the current one is
 * ignored; a span of nothing is 100; the line of a completed shutdown makes it 100; null until a scan line and last_lsn
 * are known. It stands at 100 while pages are applied and rows rolled back: that is why it is not ours.
 *
 * For mariadb-backup, whose lines its patterns do not match, the same arithmetic on the LSNs of `Read redo log up to` and
 * `To recover: LSN`.
 */
import type { ToolEvent } from '../tool/events.ts'
import type { WorkFacts } from './progress.ts'

export interface MyHoard {
  firstLsn: number | null
  currentLsn: number | null
}

export const initialMyHoard: MyHoard = { firstLsn: null, currentLsn: null }

export function myHoardAfter(before: MyHoard, event: ToolEvent, { tool, lastLsn }: WorkFacts): MyHoard {
  const lsn = lsnOf(event, tool, lastLsn)
  if (lsn === null) return before
  // A shutdown without any scan line moves the current LSN, but names no first one.
  const firstLsn = before.firstLsn ?? (event.type === 'shutdown_completed' ? null : lsn)
  return before.currentLsn !== null && lsn <= before.currentLsn && firstLsn === before.firstLsn
    ? before
    : { firstLsn, currentLsn: Math.max(lsn, before.currentLsn ?? lsn) }
}

function lsnOf(event: ToolEvent, tool: WorkFacts['tool'], lastLsn: number | null): number | null {
  if (event.type === 'redo_scanned') return event.lsn
  if (tool === 'mariadb-backup') return event.type === 'pages_left' ? event.lsn : null
  return event.type === 'shutdown_completed' ? lastLsn : null
}

/** 0-100, or null while unknown. */
export function myHoardPercent({ firstLsn, currentLsn }: MyHoard, lastLsn: number | null): number | null {
  if (firstLsn === null || currentLsn === null || lastLsn === null) return null
  const span = lastLsn - firstLsn
  if (span <= 0) return 100
  return Math.max(0, Math.min(100, Math.trunc((100 * (currentLsn - firstLsn)) / span)))
}
