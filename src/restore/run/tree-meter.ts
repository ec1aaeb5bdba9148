import { stat } from 'node:fs/promises'
import { filesUnder } from '../plan/directory-stats.ts'

const PAUSE_MS = 2000

/** The bytes that lie under a directory while it is filled; walked every 2 s, one walk at a time. */
export function meterTree(directory: string): { bytes: () => number | null; stop: () => void } {
  let bytes: number | null = null
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const walk = async () => {
    let sum = 0
    try {
      for await (const path of filesUnder(directory)) sum += (await stat(path)).size
      bytes = sum
    } catch {
      // A file went away under the walk; the next one sees the truth.
    }
    if (!stopped) timer = setTimeout(walk, PAUSE_MS)
  }
  timer = setTimeout(walk, PAUSE_MS)
  return {
    bytes: () => bytes,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
