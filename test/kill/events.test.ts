import { expect, inject, test } from 'vitest'
import type { Moment } from './agent.ts'
import { times } from './journal.ts'
import { expectRestored, place } from './restore-dirs.ts'

/** The agent dies after each event of a restore with a start check: its state is on disk, nothing has followed. */
const EVENTS: readonly (readonly [event: Extract<Moment, { event: string }>['event'], detail?: string])[] = [
  ['restore_started'],
  ['attempt_started'],
  ['phase_started', 'getting_backup_info'],
  ['planned'],
  ['phase_ended'],
  ['phase_started', 'restoring_basebackup 1'],
  ['run_begun', '1-fetch'],
  ['cleanup'],
  ['run_begun', '1-extract'],
  ['tool_started', '1-extract'],
  ['tool_ended', '1-extract-1-zstd'],
  ['tool_ended', '1-extract-2-mbstream'],
  ['run_finished', '1-extract'],
  ['run_finished', '1-fetch'],
  ['phase_started', 'preparing_backup 1'],
  ['run_begun', '1-prepare'],
  ['tool_started', '1-prepare'],
  ['tool_lines', '1-prepare-1-mariadb-backup'],
  ['tool_ended', '1-prepare-1-mariadb-backup'],
  ['run_finished', '1-prepare'],
  ['step_started', 'move_back'],
  ['run_begun', '1-move_back'],
  ['tool_started', '1-move_back'],
  ['tool_ended', '1-move_back-1-mariadb-backup'],
  ['run_finished', '1-move_back'],
  ['phase_started', 'finalizing 1'],
  ['step_started', 'verify'],
  ['step_started', 'start_check'],
  ['run_begun', '1-start_check'],
  ['tool_started', '1-start_check'],
  ['tool_lines', '1-start_check-1-mariadbd'],
  ['tool_ended', '1-start_check-1-mariadbd'],
  ['run_finished', '1-start_check'],
  ['attempt_ended'],
]

test.for(EVENTS)('agent killed after %s %s', async ([event, detail]) => {
  const at = place()
  const request = { sources: [inject('chain').elements[0]!.zst], flags: { start_check: true, owner: 'nobody:nogroup' } }
  const crash = { at: { event, ...(detail && { detail }) }, kills: ['agent'] as const }
  const ended = await at.survive(request, [crash])
  await expectRestored(at, ended, 'full')
  const journal = at.journal()
  // Whatever runs without the agent is carried on with, and so is what ended while nobody watched.
  // Of two joined tools the agent had noted only the first: a run is adopted whole or not at all.
  const adopted = event === 'tool_started' && detail !== '1-extract'
  if (adopted) expect(times(journal, 'resumed', 'adopted')).toBe(1)
  expect(times(journal, 'ended', 'completed')).toBe(1)
})
