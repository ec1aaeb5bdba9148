import { readdirSync, readFileSync } from 'node:fs'

/** Fields of /proc/<pid>/stat, which every user may read. */
export interface ProcStat {
  pid: number
  /** The first 15 bytes of the program's name. */
  command: string
  /** One letter of proc(5); Z is a zombie: it has ended, its parent has not reaped it yet. */
  state: string
  pgid: number
  /** Clock ticks since boot. The same pid and start ticks in one boot are the same process. */
  startTicks: number
  /** User and system time of the process and of its reaped children. */
  cpuTicks: number
}

/** USER_HZ; 100 on every architecture Node runs on. */
export const TICKS_PER_SECOND = 100

/** Null when there is no such process. */
export function readProcStat(pid: number): ProcStat | null {
  const text = unlessGone(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  if (text === null) return null
  const nameEnd = text.lastIndexOf(')') // the name itself may hold brackets and spaces
  const fields = text.slice(nameEnd + 2).split(' ')
  const field = (number: number) => Number(fields[number - 3]) // numbered as in proc(5)
  return {
    pid,
    command: text.slice(text.indexOf('(') + 1, nameEnd),
    state: fields[0]!,
    pgid: field(5),
    startTicks: field(22),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
  }
}

export const isRunning = (stat: ProcStat): boolean => stat.state !== 'Z' && stat.state !== 'X'

/** Whether this process still runs. A zombie does not, nor does a later process with the same pid. */
export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readProcStat(pid)
  return stat !== null && stat.startTicks === startTicks && isRunning(stat)
}

/**
 * The position of a process's descriptor in its file, in bytes; of this process without `pid`. An inherited
 * descriptor shares its position with ours: it tells how far a tool has read its stdin, at no cost to the tool. Null
 * when the process is gone or another user's.
 */
export function filePosition(fd: number, pid: number | 'self' = 'self'): number | null {
  const text = unlessGoneOrHidden(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))
  const match = text && /^pos:\s*(\d+)/m.exec(text)
  return match ? Number(match[1]) : null
}

export const listPids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger)

/** Changes with each boot; start ticks of two boots cannot be compared. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

/** The result of a read below /proc/<pid>; null when the process is gone. */
export function unlessGone<T>(read: () => T): T | null {
  return unlessCode(['ENOENT', 'ESRCH'], read)
}

/** The same for files that only the process's own user and root may read; null also when this user may not. */
export function unlessGoneOrHidden<T>(read: () => T): T | null {
  return unlessCode(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'], read)
}

function unlessCode<T>(codes: readonly string[], read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (codes.includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}
