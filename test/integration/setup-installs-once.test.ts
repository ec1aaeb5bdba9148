import { copyFileSync, existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { PROJECT, workspace } from './workspace.ts'

test('setup installs packages once: not after an npm ci by hand, and again when the lock has changed', async () => {
  const { dir } = workspace()
  const at = (path: string) => join(dir, path)
  for (const folder of ['scripts', 'bin', 'node_modules/.bin']) mkdirSync(at(folder), { recursive: true })
  copyFileSync(join(PROJECT, 'scripts/setup.sh'), at('scripts/setup.sh'))
  writeFileSync(at('package-lock.json'), 'one')
  writeFileSync(at('bin/npm'), '#!/bin/sh\ntouch called\n', { mode: 0o755 })
  const installs = async () => {
    await execa('sh', [at('scripts/setup.sh')], { env: { PATH: `${at('bin')}:${process.env.PATH}` } })
    const called = existsSync(at('called'))
    rmSync(at('called'), { force: true })
    return called
  }
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000)
  utimesSync(at('package-lock.json'), minutesAgo(9), minutesAgo(9))

  // By hand, as npm leaves it.
  writeFileSync(at('node_modules/.bin/vitest'), '', { mode: 0o755 })
  writeFileSync(at('node_modules/.package-lock.json'), '')
  expect(await installs()).toBe(false)
  utimesSync(at('node_modules/.package-lock.json'), minutesAgo(8), minutesAgo(8))
  writeFileSync(at('package-lock.json'), 'two')
  expect(await installs()).toBe(true)
  expect(await installs()).toBe(false)
  // Nothing is there any more.
  rmSync(at('node_modules'), { recursive: true })
  mkdirSync(at('node_modules'))
  expect(await installs()).toBe(true)
})
