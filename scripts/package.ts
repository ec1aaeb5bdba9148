/** npm run package: makes out/restore-agent-VERSION-linux-x64. With --all also a deb and an rpm of it. */
import { mkdirSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import { OUT, SINGLE_FILE, VERSION } from './package/artefacts.ts'
import { makeLinuxPackages } from './package/linux-packages.ts'
import { makeSingleFile } from './package/single-file.ts'

mkdirSync(OUT, { recursive: true })
await makeSingleFile(SINGLE_FILE)
const made = [SINGLE_FILE]
if (process.argv.includes('--all')) made.push(...(await makeLinuxPackages(SINGLE_FILE, OUT, VERSION)))
for (const file of made) console.log(`${relative(process.cwd(), file)}  ${(statSync(file).size / 1e6).toFixed(1)} MB`)
