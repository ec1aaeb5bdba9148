/**
 * Ends tools as whole process groups.
 *
 * SIGINT first (mariadb-backup ignores SIGTERM), SIGKILL after a grace time, until no process of the group runs.
 * Zombies do not count: they stay for ever where pid 1 does not reap. A signal that arrives while the wrapper's shell
 * starts the tool is lost, so it is sent again.
 *
 * The kernel reuses the number of a group that is gone. So each signal needs proof that the group is ours: its
 * leader's start time, a member seen while there was proof, or a member that has our lock open. A group without proof
 * counts as gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { hasOpen, type LockFile } from './lock.ts'
import { isRunning, listPids, type ProcStat, readProcStat } from './proc-stat.ts'
import { systemError } from './system-error.ts'

/** A process group and the proof that it is ours: `pid` and `startTicks` of its leader. */
export interface Group {
  pgid: number
  pid: number
  startTicks: number
}

export interface EndOptions {
  /** Milliseconds from the first SIGINT to SIGKILL. */
  graceMs?: number
  /** Proves that a group is ours when its leader is gone. */
  lock?: LockFile | undefined
}

const LONGEST_PAUSE_MS = 100
const ASK_AGAIN_MS = 500

/** Resolves when no process of the groups runs. A process in uninterruptible sleep delays that until it wakes up. */
export async function endGroups(groups: readonly Group[], { graceMs = 5000, lock }: EndOptions = {}): Promise<void> {
  const seen = new Set<string>()
  const killAtMs = performance.now() + graceMs
  let remaining = groups
  let askAtMs = 0
  for (let look = 0; ; look++) {
    const running = membersOf(remaining)
    remaining = remaining.filter(group => isOurs(group, running.get(group.pgid)!, seen, lock))
    if (remaining.length === 0) return
    const nowMs = performance.now()
    const graceLeftMs = killAtMs - nowMs
    if (graceLeftMs <= 0) {
      signalGroups(remaining, 'SIGKILL')
    } else if (nowMs >= askAtMs) {
      signalGroups(remaining, 'SIGINT')
      askAtMs = nowMs + ASK_AGAIN_MS
    }
    const pauseMs = Math.min(5 * 2 ** look, LONGEST_PAUSE_MS)
    await sleep(graceLeftMs > 0 ? Math.min(pauseMs, graceLeftMs) : pauseMs)
  }
}

function membersOf(groups: readonly Group[]): Map<number, ProcStat[]> {
  const members = new Map<number, ProcStat[]>(groups.map(group => [group.pgid, []]))
  for (const pid of groups.length === 0 ? [] : listPids()) {
    const stat = readProcStat(pid)
    if (stat !== null && isRunning(stat)) members.get(stat.pgid)?.push(stat)
  }
  return members
}

function isOurs(group: Group, running: readonly ProcStat[], seen: Set<string>, lock: LockFile | undefined): boolean {
  const key = (stat: ProcStat) => `${stat.pid}:${stat.startTicks}`
  const proven =
    running.length > 0 &&
    (readProcStat(group.pid)?.startTicks === group.startTicks ||
      running.some(stat => seen.has(key(stat))) ||
      (lock !== undefined && running.some(({ pid }) => hasOpen(pid, lock))))
  if (proven) for (const stat of running) seen.add(key(stat))
  return proven
}

/** Sends a signal to every process of a group but its leader, the wrapper that waits for them. */
export function signalMembers(group: Group, signal: NodeJS.Signals): void {
  if (readProcStat(group.pid)?.startTicks !== group.startTicks) return
  for (const { pid } of membersOf([group]).get(group.pgid)!) if (pid !== group.pid) send(pid, signal)
}

function signalGroups(groups: readonly Group[], signal: 'SIGINT' | 'SIGKILL'): void {
  for (const { pgid } of groups) send(-pgid, signal)
}

/** Negative: to a process group. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH')
      throw systemError(error, `cannot end process${pid < 0 ? ' group' : ''} ${Math.abs(pid)}`)
  }
}
