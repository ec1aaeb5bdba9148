import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { complete } from '../../../src/config/options.ts'
import { closeAll, preparePlan } from '../../../src/restore/plan/inputs.ts'
import { backupFiles, file } from '../../backup/xbstream-bytes.ts'
import { scratch } from '../../support/scratch.ts'
import { refs } from '../../support/source-refs.ts'

afterEach(() => vi.unstubAllEnvs())

/** Executables of these names, and nothing else, on PATH. */
function onlyThese(programs: Readonly<Record<string, string>>): void {
  const folder = scratch()
  for (const [name, said] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho '${said}'\n`)
    chmodSync(join(folder, name), 0o755)
  }
  vi.stubEnv('PATH', folder)
}

test('qpress is missed before anything is extracted, and not asked for where nothing is packed with it', async () => {
  const folder = scratch()
  const prepared = (name: string, suffix: string) => {
    const source = join(folder, name)
    const files = backupFiles().map(([path, data]) => file(path.startsWith('ibdata') ? path + suffix : path, data))
    writeFileSync(source, Buffer.concat(files))
    const options = complete({ source: refs(source), datadir: join(folder, 'data'), state_dir: folder }, SURROUNDINGS)
    return preparePlan(options, 'id', folder).then(({ sources }) => closeAll(sources))
  }
  const tool = { 'mariadb-backup': 'based on MariaDB server 10.11.19-MariaDB Linux (x86_64)', mbstream: '' }
  onlyThese(tool)
  await prepared('plain', '')
  const missing = prepared('packed', '.qp')
  await expect(missing).rejects.toMatchObject({ code: 'tool_missing', message: expect.stringContaining('qpress') })
  onlyThese({ ...tool, qpress: '' })
  await prepared('packed', '.qp')
})

const SURROUNDINGS = { cwd: '/', env: {}, isRoot: true, nowMs: 0 }
