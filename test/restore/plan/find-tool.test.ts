import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { findTool } from '../../../src/restore/plan/find-tool.ts'
import { scratch } from '../../support/scratch.ts'

afterEach(() => vi.unstubAllEnvs())

const AUTO = { tool: 'auto', toolPath: null, toolPaths: [] } as const

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

describe('of several xtrabackups', () => {
  const install = (root: string, folder: string, version: string) => {
    const bin = join(root, folder)
    mkdirSync(bin, { recursive: true })
    const said = `xtrabackup version ${version} based on MySQL server ${version.split('-')[0]} Linux (x86_64)`
    for (const name of ['xtrabackup', 'xbstream'])
      writeFileSync(join(bin, name), `#!/bin/sh\necho '${said}'\n`, { mode: 0o755 })
    return join(bin, 'xtrabackup')
  }
  const percona = () => {
    const root = scratch()
    const paths = {
      '2.4.20': install(root, '2.4/bin', '2.4.20'),
      '8.0.35-31': install(root, '8.0', '8.0.35-31'),
      '8.0.35-33': install(root, '8.0-new/usr/bin', '8.0.35-33'),
      '8.4.0-3': install(root, '8.4/bin', '8.4.0-3'),
    }
    mkdirSync(join(root, 'empty'))
    return { root, paths }
  }
  const ask = (toolPaths: readonly string[], backup: { tool: string | null; server: string | null }) =>
    findTool({ tool: 'xtrabackup', toolPath: null, toolPaths }, 'xtrabackup', backup)

  test.each([
    ['2.4.20', { tool: '2.4.20', server: '5.6.24' }],
    ['2.4.20', { tool: null, server: '5.7.44' }],
    ['8.0.35-31', { tool: '8.0.35-31', server: '8.0.35' }],
    ['8.0.35-33', { tool: '8.0.35-32', server: '8.0.35' }],
    ['8.4.0-3', { tool: '8.4.0-1', server: '8.4.0' }],
  ] as const)('%s is taken for a backup of %o, and told', async (version, backup) => {
    const { root, paths } = percona()
    const { planned, notice } = await ask([`${root}/*`], backup)
    expect(planned).toMatchObject({ version, path: paths[version] })
    expect(planned.extractor).toBe(join(dirname(paths[version]), 'xbstream'))
    expect(notice).toBe(`of 4 tools, ${paths[version]} (${version}) is used`)
    const files = await ask(Object.values(paths), backup)
    expect(files.planned).toEqual(planned)
    const directories = await ask([`${root}/8.4`, `${root}/2.4`, `${root}/8.0`, `${root}/8.0-new`], backup)
    expect(directories.planned.path).toBe(paths[version])
  })

  test('where none fits, one is taken whose version is then refused; where there is none, that is said', async () => {
    const { root } = percona()
    const { planned, family } = await ask([`${root}/*`], { tool: '9.1.0-1', server: '9.1.0' })
    expect(family.versionFits(planned.version, { tool: '9.1.0-1', server: '9.1.0' })).toMatchObject({ fits: false })
    await expect(ask([`${root}/empty`], { tool: null, server: null })).rejects.toMatchObject({ code: 'tool_missing' })
    await expect(ask([`${root}/no/*`], { tool: null, server: null })).rejects.toMatchObject({ code: 'tool_missing' })
    await expect(ask([`${root}/no`], { tool: null, server: null })).rejects.toMatchObject({ code: 'tool_missing' })
    expect((await ask([`${root}/8.4`], { tool: null, server: null })).notice).toBeNull()
  })
})

test('a script that does not tell its version is given up in time, with what it has started', async () => {
  const folder = scratch()
  const path = process.env.PATH
  const tool = join(folder, 'mariadb-backup')
  onlyThese('mbstream')
  vi.stubEnv('PATH', `${process.env.PATH}:${path}`)
  writeFileSync(tool, `#!/bin/sh\nsleep 60 & echo $! > ${folder}/pid\nwait\n`, { mode: 0o755 })
  const startedAtMs = performance.now()
  await expect(
    findTool({ tool: 'mariadb-backup', toolPath: tool, toolPaths: [] }, null, undefined, 500),
  ).rejects.toMatchObject({
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
