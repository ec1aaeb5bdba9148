import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { finishedIn } from '../support/runs.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, processAt, processesAt, type Workspace, workspace } from './workspace.ts'

/** Success is said of files that are on the disk. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A PATH on which `sync` is the test's. */
function syncWith(at: Workspace, script: string) {
  const bin = join(at.dir, 'bin')
  mkdirSync(bin)
  // The prepared files are synced before move-back, by the real program.
  writeFileSync(join(bin, 'sync'), `#!/bin/sh\n[ "$2" = ${at.datadir} ] || exec /bin/sync "$@"\n${script}\n`, {
    mode: 0o755,
  })
  return { PATH: `${bin}:${process.env.PATH}` }
}

test('the file system of the datadir is synced when all else is done, and before success is said', async () => {
  const at = workspace()
  const then = join(at.dir, 'then')
  const env = syncWith(
    at,
    `echo "$@" >> ${then}.args; cp ${at.stateDir}/state.json ${then}; sync "$@"`.replace('; sync', '; /bin/sync'),
  )
  expectSuccess(await at.restore([backup.full.prepared], { env, args: ['--start-check', '--owner', 'nobody:nogroup'] }))
  expect(readFileSync(`${then}.args`, 'utf8')).toBe(`-f ${at.datadir}\n`)
  const state = JSON.parse(readFileSync(then, 'utf8'))
  expect(state).toMatchObject({ status: 'running', phase: 'finalizing', step: 'start_check' })
  expect(finishedIn(state)).toContain('1-start_check')
  expect(processesAt(at.dir)).toEqual([])
})

test('a disk that does not take them: move_back_failed, and they stay where they are', async () => {
  const at = workspace()
  const env = syncWith(at, 'echo "sync: error syncing: Input/output error" >&2; exit 1')
  const ended = await at.restore([backup.full.prepared], { env })
  expect(ended).toMatchObject({ code: 54 })
  expect(ended.stderr).toMatch(
    /^error move_back_failed: cannot sync .*\n {2}sync: error syncing: Input\/output error\nhint: the disk/m,
  )
  expect(existsSync(join(at.datadir, 'app/t1.ibd'))).toBe(true)
  expect(at.state()).toMatchObject({ status: 'failed', phase: 'failed' })
})

test('Ctrl-C does not wait for a disk that hangs', async () => {
  const at = workspace()
  const env = syncWith(at, `exec tail -f ${at.dir}/bin/sync`)
  const agent = at.start([backup.full.prepared], { env })
  await processAt(at.dir, /^tail -f/)
  process.kill(agent.pid, 'SIGINT')
  const killedAtMs = performance.now()
  expect(await agent.ended).toMatchObject({ code: 130 })
  expect(performance.now() - killedAtMs).toBeLessThan(6000)
  expect(existsSync(join(at.datadir, 'app/t1.ibd'))).toBe(true)
})
