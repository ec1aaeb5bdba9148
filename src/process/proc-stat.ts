import { readdirSync, readFileSync } from 'node:fs'

/** One look at /proc/<pid>/stat, which every user may read. */
export interface ProcStat {
  pid: number
  /** The first 15 bytes of the program's name. */
  command: string
  /** One letter of proc(5); Z is a zombie: it has ended, its parent has not looked yet. */
  state: string
  pgid: number
  /** Since boot. A pid with the same start ticks in the same boot is the same process. */
  startTicks: number
  /** User and system time of the process and of the children it has waited for. */
  cpuTicks: number
}

/** USER_HZ; 100 on every architecture Node runs on. */
export const TICKS_PER_SECOND = 100

/** Null when there is no such process (any more). */
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

/** Whether this very process still runs: a zombie does not, and neither does another one that got its pid. */
export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readProcStat(pid)
  return stat !== null && stat.startTicks === startTicks && isRunning(stat)
}

export const listPids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger)

/** Changes with every boot; start ticks mean nothing across it. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

/** What `read` finds below /proc/<pid>; null when that process is gone. */
export function unlessGone<T>(read: () => T): T | null {
  return unlessCode(['ENOENT', 'ESRCH'], read)
}

/** The same for what only the process's own user and root may see; null as well when it is hidden. */
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
