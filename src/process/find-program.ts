import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { RestoreError } from '../errors.ts'

/**
 * The absolute path of a program, found as a shell finds it: a name on PATH, a path with a slash as it is.
 * Throws `tool_missing`.
 */
export function findProgram(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const [found] = findPrograms(name, env)
  if (found !== undefined) return found
  throw new RestoreError('tool_missing', name.includes('/') ? `${name} is not a program` : `${name} is not on PATH`)
}

/** All programs of that name on PATH, in its order. */
export function findPrograms(name: string, env: NodeJS.ProcessEnv = process.env): string[] {
  const folders = name.includes('/') ? null : (env.PATH ?? '').split(delimiter)
  const candidates = folders === null ? [resolve(name)] : folders.map(folder => resolve(join(folder || '.', name)))
  return candidates.filter(isProgram)
}

/** Whether this user can execute the file. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false // absent, not permitted or a dangling link: this process cannot run it
  }
}
