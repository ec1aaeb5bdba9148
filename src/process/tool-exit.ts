import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/** How a tool ended. Both null: unknown, since its wrapper was killed while no agent watched. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** Of two names for a signal the first counts: SIGABRT, not SIGIOT. */
const SIGNALS = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** A shell reports a child that died of signal n as 128 + n. */
export function exitOfShellStatus(status: number): Exit {
  const signal = SIGNALS.get(status - 128)
  return signal === undefined ? { code: status, signal: null } : { code: null, signal }
}

/**
 * What the wrapper wrote when its tool had ended; null while there is no such file. After a power cut the file may
 * exist without its content: that counts as no file.
 */
export function readExit(statusPath: string): Exit | null {
  try {
    const status = /^(\d+)\n$/.exec(readFileSync(statusPath, 'latin1'))?.[1]
    return status === undefined ? null : exitOfShellStatus(Number(status))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
