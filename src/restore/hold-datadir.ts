import { type BigIntStats, statSync } from 'node:fs'
import { type Lock, lockDirectory } from '../process/lock.ts'
import { systemError } from '../process/system-error.ts'
import type { RestoreContext } from './context.ts'

/**
 * The datadir of a running restore, held against agents that have another state dir: from the plan on where it exists
 * already, else from the moment it is made, to the restore's end. Tools do not hold it; what they have begun to fill is
 * not empty, which refuses others as well.
 */
export interface DatadirHold {
  /** Holds the directory that has the name now, if any. Throws `locked`, `not_permitted`. */
  take(): void
  release(): void
}

/** What the attempts of a restore work with. */
export interface HoldingContext extends RestoreContext {
  datadirHold: DatadirHold
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (thrown) {
    throw systemError(thrown, `cannot look at ${path}`)
  }
}

export function holdDatadir(datadir: string): DatadirHold {
  let lock: Lock | null = null
  const release = () => {
    lock?.release()
    lock = null
  }
  return {
    take() {
      const named = statOf(datadir)
      if (lock?.dev === named?.dev && lock?.ino === named?.ino) return
      release()
      if (named?.isDirectory()) lock = lockDirectory(datadir)
    },
    release,
  }
}
