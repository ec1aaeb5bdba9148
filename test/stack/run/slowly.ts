import type { Restore } from './restore.ts'

/**
 * Makes the tools of a restore work only a part of the time (SIGCONT, SIGSTOP), as a slow disk would: what takes a
 * second lasts long enough to be looked at. A tool that begins in a pause is stopped within 10 ms. Returns how to let
 * them go.
 */
export function slowly(restore: Restore, { workMs, pauseMs }: { workMs: number; pauseMs: number }): () => void {
  const began = Date.now()
  let stopped = new Set<number>()
  const timer = setInterval(() => {
    const works = (Date.now() - began) % (workMs + pauseMs) < workMs
    if (works) goOn()
    else for (const { pgid } of restore.state()?.tools ?? []) if (!stopped.has(pgid)) stop(pgid)
  }, 5)
  const stop = (pgid: number) => {
    stopped.add(pgid)
    signal(pgid, 'SIGSTOP')
  }
  const goOn = () => {
    for (const pgid of stopped) signal(pgid, 'SIGCONT')
    stopped = new Set()
  }
  return () => {
    clearInterval(timer)
    goOn()
  }
}

function signal(pgid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pgid, name)
  } catch (error) {
    // It has ended since the state was written.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
