import { mkdirSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { runCli } from '../../src/cli/run-cli.ts'
import { captureOutput } from '../support/capture-output.ts'
import type { Backup } from './make-backup.ts'
import { checksums, startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { processesAt, workspace } from './workspace.ts'

/**
 * The command within this process, as an embedding program would call it: all steps, real tools, nothing left behind.
 */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})
const said = captureOutput()

test('a chain, an owner and a start check; no listener, timer or descriptor is left', async () => {
  const at = workspace()
  mkdirSync(at.datadir)
  const listeners = () => ['SIGINT', 'SIGTERM', 'SIGHUP'].map(name => process.listenerCount(name))
  const before = listeners()
  const exitCode = await runCli([
    ...['restore', backup.full.gpg, backup.incremental, '--decrypt-key-file', backup.keyFile],
    ...['--datadir', at.datadir, '--state-dir', at.stateDir, '--start-check', '--owner', 'nobody:nogroup'],
  ])
  expect(exitCode, said.stderr).toBe(0)
  expect(listeners()).toEqual(before)
  expect(processesAt(at.dir)).toEqual([])
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.incremental)
  } finally {
    await server.stop()
  }
})
