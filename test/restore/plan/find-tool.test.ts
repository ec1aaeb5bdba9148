import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { findTool } from '../../../src/restore/plan/find-tool.ts'
import { scratch } from '../../support/scratch.ts'

afterEach(() => vi.unstubAllEnvs())

const AUTO = { tool: 'auto', toolPath: null } as const

/** A PATH with only these programs, each of which tells its version as the real one does. */
function onlyThese(...programs: string[]): void {
  const folder = scratch()
  for (const program of programs) {
    const said =
      program === 'xtrabackup'
        ? 'xtrabackup version 8.0.35-33 based on MySQL server 8.0.35 Linux (x86_64) (revision id: 1)'
        : 'mariadb-backup based on MariaDB server 10.11.19-MariaDB Linux (x86_64)'
    writeFileSync(join(folder, program), `#!/bin/sh\necho '${said}'\n`)
    chmodSync(join(folder, program), 0o755)
  }
  vi.stubEnv('PATH', folder)
}

test('a backup that does not tell its family is tried with the only one that is installed', async () => {
  onlyThese('mariadb-backup', 'mbstream')
  expect((await findTool(AUTO, null)).planned).toMatchObject({ family: 'mariadb-backup', version: '10.11.19-MariaDB' })
  onlyThese('xtrabackup', 'xbstream')
  expect((await findTool(AUTO, null)).planned).toMatchObject({ family: 'xtrabackup', version: '8.0.35-33' })
})

test('with both or none installed it has to be said', async () => {
  onlyThese('xtrabackup', 'xbstream', 'mariadb-backup', 'mbstream')
  await expect(findTool(AUTO, null)).rejects.toMatchObject({ code: 'usage' })
  await expect(findTool({ ...AUTO, tool: 'xtrabackup' }, 'mariadb-backup')).rejects.toMatchObject({
    code: 'tool_version',
  })
  onlyThese()
  await expect(findTool(AUTO, null)).rejects.toMatchObject({ code: 'usage' })
})

test('a script that does not tell its version is given up in time, with what it has started', async () => {
  const folder = scratch()
  const path = process.env.PATH
  const tool = join(folder, 'mariadb-backup')
  onlyThese('mbstream')
  vi.stubEnv('PATH', `${process.env.PATH}:${path}`)
  writeFileSync(tool, `#!/bin/sh\nsleep 60 & echo $! > ${folder}/pid\nwait\n`, { mode: 0o755 })
  const startedAtMs = performance.now()
  await expect(findTool({ tool: 'mariadb-backup', toolPath: tool }, null, 500)).rejects.toMatchObject({
    code: 'tool_version',
    message: expect.stringContaining('within 0.5 s'),
  })
  expect(performance.now() - startedAtMs).toBeLessThan(5000)
  expect(isRunning(Number(readFileSync(join(folder, 'pid'), 'utf8')))).toBe(false)
})

/** A zombie whose parent has not looked yet does not run. */
const isRunning = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
