import { accessSync, constants, mkdirSync } from 'node:fs'
import { RestoreError } from '../../errors.ts'

/** Makes the state dir, for this user alone. Throws `not_permitted`. */
export function ensureStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    accessSync(stateDir, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new RestoreError('not_permitted', `cannot write the state dir ${stateDir}: ${(cause as Error).message}`, {
      hint: 'run as root, or give a --state-dir of your own',
      cause,
    })
  }
}
