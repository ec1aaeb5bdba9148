import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { until } from '../support/until.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, stoppedTool, stoppingTool, workspace } from './workspace.ts'

let full: Backup['full']
beforeAll(async () => {
  full = (await sharedBackup()).full
})

/** Two agents that know nothing of each other's state dir, and were told the same datadir. */
test.each([
  ['is there and empty', '--prepare'],
  ['was made by the first', '--move-back'],
])('of a datadir that %s the first has it, the second is told who', async (what, stopsAt) => {
  const at = workspace()
  if (what.startsWith('is there')) mkdirSync(at.datadir)
  const tool = stoppingTool(at, stopsAt)
  const first = at.start([full.extracted], { args: ['--tool-path', tool] })
  const stopped = await stoppedTool(at)
  const other = () => at.restore([full.prepared], { args: ['--state-dir', join(at.dir, 'other-state')] })
  const second = await other()
  expect(second).toMatchObject({ code: 5 })
  expect(second.stderr).toMatch(
    new RegExp(`^error locked: ${at.datadir} is held by restore-agent \\(pid ${first.pid}\\)`, 'm'),
  )
  expect(second.stderr).toMatch(/^hint: another restore writes to this directory/m)
  expect(readdirSync(at.datadir)).toEqual([])
  process.kill(stopped, 'SIGCONT')
  expectSuccess(await first.ended)
  expect(readdirSync(at.datadir)).toContain('ibdata1')
  // It lets go with its end.
  expect(await other()).toMatchObject({ code: 10 })
})

test('an agent that died holds nothing: the next one goes on', async () => {
  const at = workspace()
  mkdirSync(at.datadir)
  const tool = stoppingTool(at, '--prepare')
  const first = at.start([full.extracted], { args: ['--tool-path', tool] })
  const stopped = await stoppedTool(at)
  first.child.kill('SIGKILL')
  await first.ended
  const next = at.start([full.extracted], { args: ['--tool-path', tool] })
  await until(() => at.state()?.agentPid === next.pid)
  process.kill(stopped, 'SIGCONT')
  expectSuccess(await next.ended)
})
