import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { wideLines } from './check-width.ts'

const root = join(import.meta.dirname, '../..')
const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n')

for (const name of tracked) {
  if (!/\.(?:md|[cm]?[jt]s|sh|ya?ml)$|^\.ci\/run$/.test(name) || name.startsWith('test/fixtures/')) continue
  for (const line of wideLines(name, readFileSync(join(root, name), 'utf8'))) {
    console.error(`width: ${name}:${line} has more than 120 columns`)
    process.exitCode = 1
  }
}
