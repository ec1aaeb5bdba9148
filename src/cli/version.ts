import { readFileSync } from 'node:fs'

/** Of restore-agent, from its package.json, which lies one folder above src/ and dist/ alike. */
export const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
