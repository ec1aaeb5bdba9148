import { setTimeout as sleep } from 'node:timers/promises'
import { hasOpen, type LockFile } from '../../process/lock.ts'
import { isAlive } from '../../process/proc-stat.ts'
import { type Exit, readExit } from '../../process/tool-exit.ts'
import type { RestoreState, RunningTool } from '../state/state.ts'

const LOOK_MS = 100

/**
 * Whether every tool of the state can be carried on with: it runs without us in its byte path, or it has ended and said
 * how. One that did neither was killed, and nobody knows what it left. One that we fed saw its input end when we died:
 * how it took that says nothing. A run is adopted whole: the agent may have died while it noted its tools. That a process is
 * ours, its open lock says; the state is not believed.
 */
export function canAdopt({ tools, bootId }: RestoreState, bootIdNow: string, lock: LockFile | undefined): boolean {
  const isWhole = ({ label, runSize }: RunningTool) => tools.filter(other => other.label === label).length >= runSize
  const hasEnded = ({ exit, fedByAgent, statusPath }: RunningTool) =>
    exit !== null || (!fedByAgent && readExit(statusPath) !== null)
  const goesOn = ({ fedByAgent, pid, startTicks }: RunningTool) =>
    !fedByAgent && isAlive(pid, startTicks) && lock !== undefined && hasOpen(pid, lock)
  // What a tool wrote before a reboot may not have reached the disk, whatever its status file says.
  return (
    bootId === bootIdNow && tools.length > 0 && tools.every(tool => isWhole(tool) && (hasEnded(tool) || goesOn(tool)))
  )
}

/** It has ended, and not well. */
export function hasFailed({ exit, statusPath }: RunningTool): boolean {
  const ended = exit ?? readExit(statusPath)
  return ended !== null && ended.code !== 0
}

/** The exit of a tool that is not our child. Both null where its wrapper was killed and wrote none. */
export async function waitForExit({ pid, startTicks, statusPath, exit }: RunningTool): Promise<Exit> {
  if (exit !== null) return exit
  for (;;) {
    // Asked first: the status is written while the wrapper lives.
    const alive = isAlive(pid, startTicks)
    const found = readExit(statusPath)
    if (found !== null) return found
    if (!alive) return { code: null, signal: 'SIGKILL' }
    await sleep(LOOK_MS)
  }
}
