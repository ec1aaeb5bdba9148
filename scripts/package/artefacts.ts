import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** Of restore-agent, from package.json: the only place that states it. */
export const VERSION: string = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version

/** Where everything that is built lies. */
export const OUT = join(ROOT, 'out')

export const SINGLE_FILE = join(OUT, `restore-agent-${VERSION}-linux-x64`)
