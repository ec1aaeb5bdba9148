import type { ToolEvent } from '../../tool/events.ts'
import type { RestoreState } from './state.ts'

/** What a tool's lines tell: rows to roll back, and what the running step has done. LSNs are the tracker's (recovery.ts). */
export function readToolEvents(before: RestoreState, events: readonly ToolEvent[]): RestoreState {
  if (events.length === 0) return before
  let { rollbackRows } = before
  const work = { ...before.work }
  let batchPages = 0
  for (const event of events) {
    switch (event.type) {
      case 'batch_started':
        work.pages += event.pages ?? 0
        break
      case 'pages_left':
        // MariaDB: each line names the pages still left; the largest is the batch.
        batchPages = Math.max(batchPages, event.pages)
        break
      case 'rollback_found':
        rollbackRows = event.rows
        break
      case 'rollback_started':
        work.rows += event.rows
        rollbackRows = event.rows
        break
      case 'rollback_percent':
        rollbackRows = Math.round((work.rows * (100 - event.percent)) / 100)
        break
      case 'rollback_completed':
        rollbackRows = 0
        break
      case 'delta_apply':
      case 'file_started':
        work.files += 1
        break
    }
  }
  work.pages = Math.max(work.pages, batchPages)
  return { ...before, rollbackRows, work }
}
