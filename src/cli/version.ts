import { readFileSync } from 'node:fs'
import { getAsset, isSea } from 'node:sea'

/** The program's package.json: an asset of the single file; otherwise it lies one folder above src/ and dist/ alike. */
const manifest = isSea()
  ? getAsset('package.json', 'utf8')
  : readFileSync(new URL('../../package.json', import.meta.url), 'utf8')

/** Of restore-agent: package.json is the only place that states it. */
export const version: string = JSON.parse(manifest).version
