import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { Backup } from '../integration/make-backup.ts'
import { makeVaried, type Varied } from '../integration/make-varied.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import {
  type Ended,
  expectSuccess,
  mountTmpfs,
  processesAt,
  startAgent,
  stoppedTool,
  stoppingTool,
  type Workspace,
  workspace,
} from '../integration/workspace.ts'
import { fileScratch } from '../support/scratch.ts'
import { until } from '../support/until.ts'

/** Situations in which an agent could say success while data are gone or are another backup's. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

const MIB = 1024 ** 2

async function expectFull(at: Workspace, ended: Ended): Promise<void> {
  expect(ended, ended.stderr).toMatchObject({ code: 0 })
  const server = await startServer(at.datadir)
  expect(await checksums(server).finally(server.stop)).toEqual(backup.checksums.full)
}

async function expectNoData(ended: Ended): Promise<void> {
  expect(ended.code, ended.stderr).not.toBe(0)
  expect(ended.stderr).toMatch(/^error \w+: \S/m)
  expect(ended.stderr).not.toMatch(/error internal/)
}

async function killAll(at: Workspace): Promise<void> {
  for (const { pid } of processesAt(at.dir)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // ended by itself
    }
  }
  await until(() => processesAt(at.dir).length === 0)
}

const writable = async (at: Workspace, from: string): Promise<string> => {
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', from, source])
  return source
}

test('the disk of the state dir is full as a prepare begins, agent and tool die, and room comes back', async () => {
  const at = workspace()
  await mountTmpfs(at.stateDir, 64 * MIB)
  await execa('chmod', ['700', at.stateDir])
  const tool = join(at.dir, 'mbstream')
  const filler = join(at.stateDir, 'filler')
  writeFileSync(tool, `#!/bin/sh\n/usr/bin/mbstream "$@" || exit\ncat /dev/zero >${filler} 2>/dev/null\nexit 0\n`, {
    mode: 0o755,
  })
  writeFileSync(join(at.dir, 'mariadb-backup'), '#!/bin/sh\nexec mariadb-backup "$@"\n', { mode: 0o755 })
  const options = { args: ['--tool-path', join(at.dir, 'mariadb-backup')] }
  at.start([backup.full.bare], options)
  await until(() => existsSync(filler) && statSync(filler).size > 30 * MIB, 'the disk to be full')
  await new Promise(resolve => setTimeout(resolve, 2500))
  await killAll(at)
  rmSync(filler)
  writeFileSync(tool, '#!/bin/sh\nexec /usr/bin/mbstream "$@"\n', { mode: 0o755 })
  await expectFull(at, await at.restore([backup.full.bare], options))
})

describe('a chain of directories', () => {
  async function extracted(at: Workspace): Promise<[full: string, incremental: string]> {
    const dirs: [string, string] = [join(at.dir, 'full'), join(at.dir, 'inc')]
    for (const [index, stream] of [backup.full.bare, backup.incremental].entries()) {
      mkdirSync(dirs[index]!)
      await execa('mbstream', ['-x', '-C', dirs[index]!], { inputFile: stream })
    }
    return dirs
  }

  test('whose incremental was prepared by hand before: its deltas are eaten', async () => {
    const at = workspace()
    const [full, incremental] = await extracted(at)
    const byHand = await writable(at, full)
    await execa('mariadb-backup', ['--prepare', `--target-dir=${byHand}`])
    await execa('mariadb-backup', ['--prepare', `--target-dir=${byHand}`, `--incremental-dir=${incremental}`])
    await expectNoData(await at.restore([full, incremental]))
  })

  test('that lacks one .delta', async () => {
    const at = workspace()
    const [full, incremental] = await extracted(at)
    rmSync(join(incremental, 'app/t1.ibd.delta'))
    const ended = await at.restore([full, incremental])
    await expectNoData(ended)
    expect(ended.stderr).toContain('app/t1.ibd')
  })
})

describe('files that a copy of a directory has lost or cut', () => {
  let varied: Varied
  const folder = fileScratch()
  beforeAll(async () => {
    await execa('chmod', ['755', folder])
    varied = await makeVaried(folder, 16)
  })

  test.for([0, 1, 8, 37, 38, 63])('a table with DATA DIRECTORY cut to %i bytes', async bytes => {
    const at = workspace()
    const source = await writable(at, varied.prepared)
    writeFileSync(join(source, 'app/far.isl'), join(at.dir, 'elsewhere/app/far.ibd'))
    truncateSync(join(source, 'app/far.ibd'), bytes)
    await expectNoData(await at.restore([source], { args: ['--allow-outside'] }))
  })
})

describe('another backup under the same name while agent and tools are dead', () => {
  test.for(['as it is', 'with the old size and mtime'])('%s', async how => {
    const at = workspace()
    const source = join(at.dir, 'backup.xb')
    copyFileSync(backup.full.bare, source)
    const before = statSync(source)
    const options = { args: ['--tool-path', stoppingTool(at, '--prepare')] }
    at.start([source], options)
    await stoppedTool(at)
    await killAll(at)
    const { bare } = inject('chain').elements[0]!
    copyFileSync(bare, source)
    if (how !== 'as it is') {
      truncateSync(source, before.size)
      utimesSync(source, before.atime, before.mtime)
    }
    const ended = await at.restore([source])
    await expectNoData(ended)
    expect(ended.stderr).toMatch(/^error unfinished: /m)
  })
})

test('a datadir whose name is no UTF-8 is refused, and no other one is filled', async () => {
  const at = workspace()
  const main = join(import.meta.dirname, '../../src/main.ts')
  const script = `d="$1/data$(printf '\\377')"; shift; exec "$@" --datadir "$d"`
  const args = [
    '-c',
    script,
    'sh',
    at.dir,
    process.execPath,
    main,
    'restore',
    backup.full.bare,
    '--state-dir',
    at.stateDir,
  ]
  const ended = await execa('sh', args, { reject: false })
  expect(ended.exitCode, ended.stderr).toBeGreaterThan(0)
  expect(readdirSync(at.dir).filter(name => name.startsWith('data'))).toEqual([])
})

test('a partial backup is called one by inspect, by the plan and at the end', async () => {
  const at = workspace()
  const source = await writable(at, backup.full.prepared)
  const info = join(source, existsSync(join(source, 'mariadb_backup_info')) ? 'mariadb_backup_info' : 'xtrabackup_info')
  writeFileSync(info, readFileSync(info, 'utf8').replace(/^partial = N/m, 'partial = Y'))
  const inspected = await startAgent(['inspect', source]).ended
  expect(inspected.stdout).toMatch(/partial/)
  const ended = await at.restore([source])
  expectSuccess(ended)
  expect(`${ended.stderr}${ended.stdout}`).toMatch(/partial/)
})

describe('with --in-place, the tool is killed at the very end of its prepare', () => {
  /** The real tool, and then the files as they were at that moment. */
  const killedAtTheEnd = (at: Workspace, script: string): string => {
    const path = join(at.dir, 'mariadb-backup')
    const first = `cp ${at.dir}/source/xtrabackup_checkpoints ${at.dir}/checkpoints && /usr/bin/mariadb-backup "$@" || exit 9`
    const once = `if [ ! -e ${at.dir}/checkpoints ]; then ${first}; cd ${at.dir}/source; ${script}; kill -KILL $$; fi`
    writeFileSync(path, `#!/bin/sh\ncase "$*" in *--prepare*) ${once};; esac\nexec /usr/bin/mariadb-backup "$@"\n`, {
      mode: 0o755,
    })
    return path
  }
  const back = 'cat ../checkpoints > xtrabackup_checkpoints'

  test.for([
    ['before the checkpoints are written', back],
    ['as the checkpoints are written', ': > xtrabackup_checkpoints'],
    ['after they are written', ':'],
  ] as const)('%s: the prepare is finished, and all tables are there', async ([, script]) => {
    const at = workspace()
    const source = await writable(at, backup.full.extracted)
    const args = ['--in-place', '--tool-path', killedAtTheEnd(at, script)]
    const ended = await at.restore([source], { args })
    expect(ended.stderr).toMatch(/note: --in-place consumes .*may leave no backup there to try again with/)
    await expectFull(at, ended)
  })

  test.for([
    ['between the old redo log and the new one', `${back}; rm ib_logfile0`],
    ['and the redo log was cut', `${back}; truncate -s 0 ib_logfile0`],
  ] as const)('%s: not_prepared, and the backup is not blamed', async ([, script]) => {
    const at = workspace()
    const source = await writable(at, backup.full.extracted)
    const ended = await at.restore([source], { args: ['--in-place', '--tool-path', killedAtTheEnd(at, script)] })
    expect(ended.stderr).toMatch(/^error not_prepared: /m)
    expect(at.state()).toMatchObject({ phase: 'failed', cleanup: { returnFilesTo: null } })
    expect(existsSync(at.datadir)).toBe(false)
  })
})
