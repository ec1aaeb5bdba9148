import { RestoreError } from '../errors.ts'

/** What package.json asks for in `engines`. */
const LEAST = [22, 19] as const

/** Throws `tool_version` if Node.js is too old: dependencies would fail with errors of their own. */
export function checkNode(version: string): void {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  if (major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1])) return
  throw new RestoreError(
    'tool_version',
    `restore-agent needs Node.js ${LEAST.join('.')} or later, this is ${version}`,
    {
      hint: 'put a newer node first on PATH',
    },
  )
}
