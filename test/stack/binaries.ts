import { fileURLToPath } from 'node:url'
import { execa } from 'execa'

const build = fileURLToPath(new URL('build.sh', import.meta.url))
let directory: Promise<string> | undefined

/** Path of a program that build.sh made; builds all of them when they are not in the cache. */
export async function binary(name: 'prometheus' | 'promtool' | 'jaeger' | 'otelcol' | 'dashboard-linter' | 'compose') {
  directory ??= execa(build, { stderr: 'inherit' }).then(({ stdout }) => stdout)
  return `${await directory}/${name}`
}
