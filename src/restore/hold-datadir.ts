import { statSync } from 'node:fs'
import { type Lock, lockDirectory } from '../process/lock.ts'
import type { RestoreContext } from './context.ts'

/**
 * The datadir of a running restore, held against agents that have another state dir: from the plan on where it exists already, else
 * from the moment it is made, to the restore's end. Tools do not hold it; what they have begun to fill is not empty, which
 * refuses others as well.
 */
export interface DatadirHold {
  /** Holds the directory that has the name now, if any. Throws `locked`. */
  take(): void
  release(): void
}

/** What the attempts of a restore work with. */
export interface HoldingContext extends RestoreContext {
  datadirHold: DatadirHold
}

export function holdDatadir(datadir: string): DatadirHold {
  let lock: Lock | null = null
  const release = () => {
    lock?.release()
    lock = null
  }
  return {
    take() {
      const named = statSync(datadir, { bigint: true, throwIfNoEntry: false })
      if (lock?.dev === named?.dev && lock?.ino === named?.ino) return
      release()
      if (named?.isDirectory()) lock = lockDirectory(datadir)
    },
    release,
  }
}
