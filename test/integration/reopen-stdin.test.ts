import { createReadStream, existsSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { PLAIN, replayEnv, writeXtrabackup, XTRABACKUP } from '../fixtures/xtrabackup-backup.ts'
import { finishedIn } from '../support/runs.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import {
  expectSuccess,
  processAt,
  type RunOptions,
  stoppedTool,
  stoppingTool,
  type Workspace,
  workspace,
} from './workspace.ts'

/** A restore from standard input whose agent was killed, and is started again with another input. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** A pipe that stays open before its end. */
const held = (path: string) =>
  Readable.from(
    (async function* () {
      for await (const piece of createReadStream(path, { end: 1_500_000 })) yield piece
      await new Promise(() => {})
    })(),
  )

async function killedInExtract(at: Workspace, path: string): Promise<void> {
  const agent = at.start(['-'], { stdin: held(path) })
  await processAt(at.dir, /^\S*mbstream -x/)
  agent.child.kill('SIGKILL')
  await agent.ended
  expect(at.state()).toMatchObject({ status: 'running' })
  expect(finishedIn(at.state()!)).toEqual([])
}

test('killed in extract: the new pipe is read, and must be the same backup', async () => {
  const at = workspace()
  await killedInExtract(at, backup.full.zst)
  const before = at.state()
  const refused: [stdin: RunOptions, code: number, message: RegExp][] = [
    [{ stdin: createReadStream(backup.full.gz) }, 17, /another backup .*: layers is gzip, not zstd/],
    [{ stdinFile: backup.incremental }, 17, /another backup .*: (kind|layers) is/],
    [{}, 21, /^error source_unreadable: the interrupted restore needs its backup once more: .* neither a file nor/],
    [{ stdin: Readable.from([]) }, 23, /^error source_empty: the interrupted restore needs its backup once more/],
  ]
  for (const [stdin, code, message] of refused) {
    const ended = await at.restore(['-'], stdin)
    expect(ended, ended.stderr).toMatchObject({ code })
    expect(ended.stderr).toMatch(message)
    expect(ended.stderr).toMatch(/^hint: pipe the same backup in again/m)
    expect(at.state()).toEqual(before)
  }
  const ended = await at.restore(['-'], { stdin: createReadStream(backup.full.zst) })
  expectSuccess(ended)
  expect(ended.stderr).not.toContain('standard input')
  expect(readdirSync(at.datadir)).toContain('ibdata1')
})

test.each(['adopted', 'killed'])('extracted, and its prepare %s', async fate => {
  const at = workspace()
  const args = ['--tool-path', stoppingTool(at, '--prepare')]
  const agent = at.start(['-'], { args, stdin: createReadStream(backup.full.bare) })
  const tool = await stoppedTool(at)
  agent.child.kill('SIGKILL')
  await agent.ended
  process.kill(tool, fate === 'adopted' ? 'SIGCONT' : 'SIGKILL')
  if (fate === 'adopted') {
    const ended = await at.restore(['-'], { args })
    expect(ended, ended.stderr).toMatchObject({ code: 0 })
    expect(ended.stderr).toMatch(/standard input is not read/)
  } else {
    // What it has changed must be extracted again.
    expect(await at.restore(['-'], { args })).toMatchObject({ code: 21 })
    const again = at.start(['-'], { args, stdin: createReadStream(backup.full.bare) })
    process.kill(await stoppedTool(at), 'SIGCONT')
    expectSuccess(await again.ended)
  }
  expect(existsSync(at.datadir)).toBe(true)
})

test('extracted, and its decompress adopted', async () => {
  const at = workspace()
  const version = '8.0.28-21' // its xbstream does not undo zstd yet
  const older = (info: Buffer) =>
    Buffer.from(info.toString().replace(/^(tool_version|server_version) = .*$/gm, `$1 = ${version}`))
  const source = writeXtrabackup(
    join(at.dir, 'backup'),
    PLAIN,
    ({ 'app/t1.ibd': table, xtrabackup_info: info, ...files }) => ({
      'app/t1.ibd.zst': zstdCompressSync(table!),
      ...files,
      xtrabackup_info: older(info!),
    }),
  )
  const tool = join(at.dir, 'mariadb-backup') // the name that stoppedTool looks for
  writeFileSync(tool, `#!/bin/sh\ncase "$*" in *--decompress*) kill -STOP $$;; esac\nexec ${XTRABACKUP} "$@"\n`, {
    mode: 0o755,
  })
  symlinkSync(join(XTRABACKUP, '../xbstream'), join(at.dir, 'xbstream'))
  const options = { args: ['--tool-path', tool], env: replayEnv(PLAIN, { REPLAY_VERSION: version }) }
  const agent = at.start(['-'], { ...options, stdin: createReadStream(source) })
  const stopped = await stoppedTool(at)
  agent.child.kill('SIGKILL')
  await agent.ended
  process.kill(stopped, 'SIGCONT')
  const ended = await at.restore(['-'], options)
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  expect(ended.stderr).toMatch(/standard input is not read/)
})

test('killed in its move-back: nothing is read', async () => {
  const at = workspace()
  const args = ['--tool-path', stoppingTool(at, '--move-back')]
  const agent = at.start(['-'], { args, stdin: createReadStream(backup.full.bare) })
  const tool = await stoppedTool(at)
  agent.child.kill('SIGKILL')
  await agent.ended
  process.kill(tool, 'SIGKILL')
  const again = at.start(['-'], { args, stdin: held(backup.full.gz) })
  process.kill(await stoppedTool(at), 'SIGCONT')
  const ended = await again.ended
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  expect(ended.stderr).toMatch(/standard input is not read: nothing more of the backup is needed from it/)
})
