import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { beforeAll, expect, test } from 'vitest'
import { until } from '../support/until.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import {
  expectFailure,
  PROJECT,
  processAt,
  processesAt,
  startAgent,
  stoppedTool,
  stoppingTool,
  workspace,
} from './workspace.ts'

/** Signals to a real process at moments when no tool of a restore runs yet, and those it was told to ignore. */

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A pipe into which nobody writes. */
const silence = () => new PassThrough()

test.each([
  ['SIGINT', 'cancelled'],
  ['SIGTERM', 'terminated'],
] as const)('%s while standard input keeps silent: %s', async (signal, code) => {
  const at = workspace()
  const agent = at.start(['-'], { stdin: silence() })
  await until(() => at.state()?.phase === 'getting_backup_info')
  const startedAtMs = performance.now()
  process.kill(agent.pid, signal)
  expectFailure(at, await agent.ended, code)
  expect(performance.now() - startedAtMs).toBeLessThan(5000)
  expect(at.state()).toMatchObject({ status: 'cancelled', error: { code }, spans: [] })
})

test('SIGUSR1 opens no debugger, into which every local user could come', async () => {
  const at = workspace()
  const agent = at.start(['-'], { stdin: silence() })
  await until(() => at.state()?.phase === 'getting_backup_info')
  process.kill(agent.pid, 'SIGUSR1')
  await sleep(500)
  process.kill(agent.pid, 'SIGINT')
  const ended = await agent.ended
  expect(ended.stderr).not.toMatch(/Debugger/)
  expectFailure(at, ended, 'cancelled')
})

test('SIGTERM while a tool does not tell its version: terminated, and nothing of the tool is left', async () => {
  const at = workspace()
  const tool = join(at.dir, 'mariadb-backup')
  writeFileSync(tool, `#!/bin/sh\ncd ${at.dir} && sleep 100\n`, { mode: 0o755 })
  const agent = at.start([backup.full.bare], { args: ['--tool-path', tool] })
  await processAt(at.dir, /^sleep 100/)
  process.kill(agent.pid, 'SIGTERM')
  const ended = await agent.ended
  await until(() => processesAt(at.dir).length === 0, 'no process', 2000)
  expectFailure(at, ended, 'terminated', { kept: ['mariadb-backup'] })
})

test.each([0, 20, 40, 80, 160])('SIGINT %i ms after the state dir is made: cancelled', async delayMs => {
  const at = workspace()
  const agent = at.start(['-'], { stdin: silence() })
  await until(() => existsSync(at.stateDir))
  await sleep(delayMs)
  process.kill(agent.pid, 'SIGINT')
  expectFailure(at, await agent.ended, 'cancelled')
  expect(at.state()).toMatchObject({ status: 'cancelled' })
})

test.each([
  ['inspect', ['inspect', '-']],
  ['a dry run', ['restore', '-', '--dry-run', '--datadir']],
])('SIGINT to %s: cancelled, and its scratch folder is gone', async (_, args) => {
  const at = workspace()
  const scratch = join(at.dir, 'tmp')
  mkdirSync(scratch)
  const agent = startAgent(args.at(-1) === '--datadir' ? [...args, at.datadir] : args, {
    stdin: silence(),
    env: { TMPDIR: scratch },
  })
  await until(() => readdirSync(scratch).length > 0)
  await sleep(200)
  process.kill(agent.pid, 'SIGINT')
  expectFailure(at, await agent.ended, 'cancelled', { kept: ['tmp'] })
  expect(readdirSync(scratch)).toEqual([])
})

test.each([
  ['nohup', { _: '/usr/bin/nohup' }, ''],
  ['a shell that ignores them', {}, "trap '' HUP"],
])('a hangup under %s: the restore goes on to its end', async (_, env, before) => {
  const at = workspace()
  const words = [process.execPath, join(PROJECT, 'src/main.ts'), 'restore', backup.full.zst]
  const options = ['--datadir', at.datadir, '--state-dir', at.stateDir, '--tool-path', stoppingTool(at, '--prepare')]
  const shell = execa('sh', ['-c', `${before}\n"$@"\ncode=$?\nexit $code`, 'sh', ...words, ...options], {
    env: { ...env },
    reject: false,
  })
  const tool = await stoppedTool(at)
  process.kill(at.state()!.agentPid, 'SIGHUP')
  await sleep(1000)
  process.kill(tool, 'SIGCONT')
  const { exitCode, stderr } = await shell
  expect(exitCode, stderr).toBe(0)
})
