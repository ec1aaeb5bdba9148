import { setTimeout as sleep } from 'node:timers/promises'
import { hasOpen, type LockFile } from '../../process/lock.ts'
import { isAlive } from '../../process/proc-stat.ts'
import { type Exit, readExit } from '../../process/tool-exit.ts'
import { toolsOf } from '../state/runs.ts'
import type { RestoreState, RunningTool } from '../state/state.ts'

const LOOK_MS = 100

/**
 * Whether this agent can adopt every tool in the state: the tool runs and needs no bytes from an agent, or it has
 * ended and left its status. A tool that did neither was killed, and what it left is unknown. A tool that the agent
 * fed saw its input end when the agent died, so its status tells nothing. A run is adopted only whole: the agent may
 * have died while it recorded its tools. The open lock proves that a process is ours, the state file does not.
 */
export function canAdopt({ tools, bootId }: RestoreState, bootIdNow: string, lock: LockFile | undefined): boolean {
  const isWhole = ({ run, runSize }: RunningTool) => toolsOf({ tools }, run).length >= runSize
  const hasEnded = ({ exit, fedByAgent, statusPath }: RunningTool) =>
    exit !== null || (!fedByAgent && readExit(statusPath) !== null)
  const runsAlone = ({ fedByAgent, pid, startTicks }: RunningTool) =>
    !fedByAgent && isAlive(pid, startTicks) && lock !== undefined && hasOpen(pid, lock)
  // After a reboot, files that the tool wrote may be lost, whatever its status file says.
  return (
    bootId === bootIdNow &&
    tools.length > 0 &&
    tools.every(tool => isWhole(tool) && (hasEnded(tool) || runsAlone(tool)))
  )
}

/** It has ended with an error. */
export function hasFailed({ exit, statusPath }: RunningTool): boolean {
  const ended = exit ?? readExit(statusPath)
  return ended !== null && ended.code !== 0
}

/** The exit of a tool that is not our child. A wrapper that was killed leaves none: SIGKILL then. */
export async function waitForExit({ pid, startTicks, statusPath, exit }: RunningTool): Promise<Exit> {
  if (exit !== null) return exit
  for (;;) {
    // In this order: the wrapper writes the status before it ends.
    const alive = isAlive(pid, startTicks)
    const found = readExit(statusPath)
    if (found !== null) return found
    if (!alive) return { code: null, signal: 'SIGKILL' }
    await sleep(LOOK_MS)
  }
}
