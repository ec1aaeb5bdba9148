/**
 * Ends tools as whole process groups.
 *
 * SIGINT first (mariadb-backup ignores SIGTERM), SIGKILL after a grace, until no process of the group runs any more;
 * zombies do not count, they may stay for ever where pid 1 does not look after them. A signal is lost when it comes in
 * the instant in which the wrapper's shell starts the tool, so it is sent again.
 *
 * A group's number is used again once the group is gone, so before every signal the group must prove to be ours: by its
 * leader's start time, by a member seen while it was proven, or by a member that has our lock open. One that cannot is taken
 * for gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { hasOpen, type LockFile } from './lock.ts'
import { isRunning, listPids, type ProcStat, readProcStat } from './proc-stat.ts'
import { systemError } from './system-error.ts'

/** A group for certain: `pid` is its leader's. */
export interface Group {
  pgid: number
  pid: number
  startTicks: number
}

export interface EndOptions {
  /** Milliseconds from the first SIGINT to SIGKILL. */
  graceMs?: number
  /** Proves a group whose leader is gone. */
  lock?: LockFile | undefined
}

const LONGEST_PAUSE_MS = 100
const ASK_AGAIN_MS = 500

/** Resolves when nothing of the groups runs. A process in uninterruptible sleep can delay that for as long as it sleeps. */
export async function endGroups(groups: readonly Group[], { graceMs = 5000, lock }: EndOptions = {}): Promise<void> {
  const seen = new Set<string>()
  const killAtMs = performance.now() + graceMs
  let left = groups
  let askAtMs = 0
  for (let look = 0; ; look++) {
    const running = membersOf(left)
    left = left.filter(group => isOurs(group, running.get(group.pgid)!, seen, lock))
    if (left.length === 0) return
    const nowMs = performance.now()
    const leftMs = killAtMs - nowMs
    if (leftMs <= 0) {
      signalGroups(left, 'SIGKILL')
    } else if (nowMs >= askAtMs) {
      signalGroups(left, 'SIGINT')
      askAtMs = nowMs + ASK_AGAIN_MS
    }
    const pauseMs = Math.min(5 * 2 ** look, LONGEST_PAUSE_MS)
    await sleep(leftMs > 0 ? Math.min(pauseMs, leftMs) : pauseMs)
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

function signalGroups(groups: readonly Group[], signal: 'SIGINT' | 'SIGKILL'): void {
  for (const { pgid } of groups) {
    try {
      process.kill(-pgid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH')
        throw systemError(error, `cannot end process group ${pgid}`)
    }
  }
}
