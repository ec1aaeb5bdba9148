import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import type { RestoreState } from '../../src/restore/state/state.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, stoppedTool, stoppingTool, workspace } from './workspace.ts'

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

test('a reader at any time finds whole JSON, phases in their order, and times and percents that do not go back', async () => {
  const at = workspace()
  const path = join(at.stateDir, 'state.json')
  const agent = at.start([backup.full.zst])
  const seen: RestoreState[] = []
  let ended = false
  const done = agent.ended.finally(() => {
    ended = true
  })
  for (; !ended; await sleep(2)) {
    if (!existsSync(path)) continue
    const state = JSON.parse(readFileSync(path, 'utf8')) as RestoreState
    if (state.updatedAtMs !== seen.at(-1)?.updatedAtMs || state.phase !== seen.at(-1)?.phase) seen.push(state)
  }
  expectSuccess(await done)
  seen.push(at.state()!)

  const phases = seen.map(state => state.phase).filter((phase, index, all) => phase !== all[index - 1])
  expect(phases).toEqual(['getting_backup_info', 'restoring_basebackup', 'preparing_backup', 'finalizing', 'completed'])
  for (const [index, state] of seen.entries()) {
    const before = seen[index - 1]
    if (!before) continue
    expect(state.updatedAtMs).toBeGreaterThanOrEqual(before.updatedAtMs)
    expect(state.progress.restorePercent ?? 100).toBeGreaterThanOrEqual(before.progress.restorePercent ?? 0)
    if (state.phase === before.phase)
      expect(state.progress.phasePercent ?? 100).toBeGreaterThanOrEqual(before.progress.phasePercent ?? 0)
  }
  expect(seen.some(state => 'endedSpans' in state)).toBe(false)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(at.stateDir).mode & 0o777).toBe(0o700)
})

test('while a tool runs, the file has all that a later agent needs of it and of the open spans', async () => {
  const at = workspace()
  const agent = at.start([backup.full.zst], { args: ['--tool-path', stoppingTool(at, '--prepare')] })
  const tool = await stoppedTool(at)
  await sleep(300)
  const state = at.state()!
  expect(state).toMatchObject({
    schema: 2,
    agentPid: agent.pid,
    status: 'running',
    phase: 'preparing_backup',
    attempt: 1,
    position: 1,
    chainLength: 1,
  })
  expect(state.spans.map(span => span.kind)).toEqual(expect.arrayContaining(['outcome', 'attempt', 'phase', 'tool']))
  const [running] = state.tools
  expect(running).toMatchObject({
    name: 'mariadb-backup',
    run: { element: 1, kind: 'prepare' },
    exit: null,
    fedByAgent: false,
  })
  expect(running!.spanId).toBe(state.spans.find(span => span.kind === 'tool')!.id)
  // Its group, as the kernel has it; the tool itself is in it.
  const stat = readFileSync(`/proc/${tool}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  expect(Number(stat[2])).toBe(running!.pgid)
  expect(existsSync(running!.stderrPath)).toBe(true)
  expect(state.cleanup.created).toEqual([state.plan!.targetDir])
  process.kill(tool, 'SIGCONT')
  expectSuccess(await agent.ended)
  expect(at.state()).toMatchObject({
    status: 'succeeded',
    phase: 'completed',
    error: null,
    spans: [],
    tools: [],
    cleanup: { created: [], partialDatadir: null },
    progress: { restorePercent: 100 },
  })
})
