/** npm run package: makes the single file out/restore-agent-VERSION-linux-x64. */
import { statSync } from 'node:fs'
import { relative } from 'node:path'
import { SINGLE_FILE } from './package/artefacts.ts'
import { makeSingleFile } from './package/single-file.ts'

await makeSingleFile(SINGLE_FILE)
console.log(`${relative(process.cwd(), SINGLE_FILE)}  ${(statSync(SINGLE_FILE).size / 1e6).toFixed(1)} MB`)
