import { join } from 'node:path'
import { checkImports } from './check-imports.ts'

for (const { text } of await checkImports(join(import.meta.dirname, '../..'))) {
  console.error(`imports: ${text}`)
  process.exitCode = 1
}
