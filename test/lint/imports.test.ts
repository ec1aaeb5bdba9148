import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkImports } from '../../scripts/lint/check-imports.ts'

const root = join(import.meta.dirname, '../..')
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ra-imports-'))
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** The broken rules of a source tree; each file is given with its imports. Files that are only imported exist too. */
async function broken(files: Record<string, string>): Promise<string[]> {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text, { flag: 'a' })
  }
  for (const [file, text] of Object.entries(files)) {
    const path = join(dir, 'src', file)
    write(path, `${text}\nexport type T = 1\nexport const v = 1\n`)
    for (const [, imported] of text.matchAll(/'(\.[^']*)'/g))
      if (!text.includes('missing'))
        write(join(dirname(path), imported ?? ''), 'export type T = 1\nexport const v = 1\n')
  }
  return (await checkImports(dir)).map(({ rule }) => rule)
}

test.each<[string, Record<string, string>]>([
  ['no-cycle: tool', { 'tool/a.ts': "import './b.ts'", 'tool/b.ts': "import './a.ts'" }],
  [
    'no-cycle: tool',
    { 'tool/a.ts': "import type { T } from './b.ts'", 'tool/b.ts': "import type { T } from './a.ts'" },
  ],
  ['resolvable', { 'tool/a.ts': "import './missing.ts'" }],
  ['every file has a room', { 'utils/a.ts': "import 'node:path'" }],
  ['pure', { 'progress/a.ts': "import { readFileSync } from 'node:fs'" }],
  ['pure', { 'tool/a.ts': "import type { Stats } from 'node:fs'" }],
  ['pure', { 'backup/a.ts': "import 'child_process'" }],
  ['pure', { 'layout/a.ts': "const { readFile } = await import('node:fs/promises')" }],
  ['pure', { 'restore/plan/build-plan.ts': "import { totalmem } from 'node:os'" }],
  ['pure', { 'restore/state/reduce-tools.ts': "import { setTimeout } from 'node:timers/promises'" }],
  ['pure', { 'errors.ts': "import 'node:process'" }],
  ['direction: process', { 'process/a.ts': "import type { T } from '../progress/b.ts'" }],
  ['direction: tool', { 'tool/a.ts': "import { v } from '../source/b.ts'" }],
  ['direction: restore/plan', { 'restore/plan/a.ts': "const m = await import('../steps/b.ts')" }],
  ['direction: restore/state', { 'restore/state/a.ts': "export { v } from '../coordinator.ts'" }],
  ['direction: restore', { 'restore/a.ts': "import { v } from '../telemetry/b.ts'" }],
  ['direction: server', { 'server/a.ts': "import { v } from '../cli/b.ts'" }],
  ['direction: telemetry', { 'telemetry/a.ts': "import { v } from '../restore/run/b.ts'" }],
  ['types only: telemetry', { 'telemetry/a.ts': "import { v } from '../restore/state/b.ts'" }],
  ['types only: cli/views', { 'cli/views/a.ts': "import { v } from '../../restore/state/b.ts'" }],
  ['packages: server', { 'server/a.ts': "import { metrics } from '@opentelemetry/api'" }],
  ['packages: progress', { 'progress/a.ts': "import { z } from 'zod'" }],
  ['packages: cli', { 'cli/a.ts': "const yaml = await import('yaml')" }],
])('%s is found in %j', async (rule, files) => {
  expect(await broken(files)).toEqual([rule])
})

test('a tree in which every import points the right way is not complained of', async () => {
  expect(
    await broken({
      'main.ts': "import { v } from './cli/run-cli.ts'",
      'cli/run-cli.ts': "import 'commander'\nimport { v } from '../restore/session.ts'",
      'restore/session.ts': "import { v } from './state/store.ts'\nimport { v as w } from '../process/lock.ts'",
      'telemetry/spans.ts': "import '@opentelemetry/api'\nimport type { T } from '../restore/state/state.ts'",
      'backup/stream.ts': "import { crc32 } from 'node:zlib'\nimport { join } from 'node:path'",
    }),
  ).toEqual([])
})

test('a dependency-cruiser that cannot read TypeScript fails the check', async () => {
  const preload = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module'
    registerHooks({ resolve: (name, context, next) => next(name.replace('typescript-6', 'typescript'), context) })
  `)}`
  const script = join(root, 'scripts/lint/imports.ts')
  const run = await execa(process.execPath, ['--import', preload, script], { cwd: root, reject: false })
  expect(run.stderr).toMatch(/imports: read 0 of the \d+ files in src/)
  expect(run.exitCode).toBe(1)
})

test('a pure room takes nothing but crc32 and zstdDecompressSync from node:zlib', async () => {
  copyFileSync(join(root, 'biome.json'), join(dir, 'biome.json'))
  mkdirSync(join(dir, 'src/tool'), { recursive: true })
  const lint = async (name: string) => {
    writeFileSync(join(dir, 'src/tool/a.ts'), `import { ${name} } from 'node:zlib'\n\nexport const value = ${name}\n`)
    const biome = join(root, 'node_modules/.bin/biome')
    return (await execa(biome, ['lint', '--vcs-enabled=false', 'src'], { cwd: dir, reject: false, all: true })).all
  }
  expect(await lint('gunzipSync')).toContain('noRestrictedImports')
  expect(await lint('crc32')).not.toContain('noRestrictedImports')
  expect(await lint('zstdDecompressSync')).not.toContain('noRestrictedImports')
})
