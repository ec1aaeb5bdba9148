import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeNpmPackage, makeSbom } from '../../scripts/package/npm-package.ts'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'

const folder = mkdtempSync(join(tmpdir(), 'ra-npm-'))
const app = join(folder, 'app')
afterAll(() => rmSync(folder, { recursive: true }))

let backup: Backup

beforeAll(async () => {
  backup = await sharedBackup()
  const tarball = await makeNpmPackage(folder)
  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{"private": true}')
  await execa('npm', ['install', '--omit=dev', '--no-audit', '--no-fund', '--ignore-scripts', tarball], { cwd: app })
})

const agent = (...args: string[]) =>
  execa('npx', ['--no-install', 'restore-agent', ...args], { cwd: app, reject: false })

test('only production dependencies are installed, and no test', () => {
  expect(readdirSync(join(app, 'node_modules'))).not.toContain('vitest')
  const own = readdirSync(join(app, 'node_modules/restore-agent')).sort()
  expect(own).toEqual(expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'deploy', 'dist', 'docs']))
  expect(own).not.toContain('test')
})

test('npx restore-agent restores a real backup to equal tables', async () => {
  const [datadir, stateDir] = [join(folder, 'data'), join(folder, 'state')]
  const { exitCode, stderr } = await agent('restore', backup.full.zst, '--datadir', datadir, '--state-dir', stateDir)
  expect(exitCode, stderr).toBe(0)
  const server = await startServer(datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
})

test('it has no API to import, and says so', async () => {
  const { exitCode, stderr } = await execa('node', ['-e', 'import("restore-agent")'], { cwd: app, reject: false })
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED')])
})

test('the bill of materials names every dependency with its version', async () => {
  const sbom = JSON.parse(await makeSbom())
  expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'restore-agent' } } })
  const names = sbom.components.map(({ group, name }: { group?: string; name: string }) =>
    group ? `${group}/${name}` : name,
  )
  const { dependencies } = JSON.parse((await execa('npm', ['pkg', 'get'])).stdout)
  for (const dependency of Object.keys(dependencies)) expect(names).toContain(dependency)
  expect(names).not.toContain('vitest')
})
