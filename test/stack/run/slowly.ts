import type { Restore } from './restore.ts'

/**
 * Makes the tools of a restore work only a part of the time (SIGCONT, SIGSTOP), as a slow disk would: what takes a second
 * lasts long enough to be looked at. Returns how to let them go.
 */
export function slowly(restore: Restore, { workMs, pauseMs }: { workMs: number; pauseMs: number }): () => void {
  let timer: NodeJS.Timeout
  const signal = (name: NodeJS.Signals) => {
    for (const { pgid } of restore.state()?.tools ?? []) {
      try {
        process.kill(-pgid, name)
      } catch (error) {
        // It has ended since the state was written.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }
  const pause = () => {
    signal('SIGSTOP')
    timer = setTimeout(work, pauseMs)
  }
  const work = () => {
    signal('SIGCONT')
    timer = setTimeout(pause, workMs)
  }
  work()
  return () => {
    clearTimeout(timer)
    signal('SIGCONT')
  }
}
