import { constants, existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { listPids } from './proc-stat.ts'

/**
 * Another process that has a file in `directory` open; null if there is none. With `readers` false only files open for
 * writing count: those of a server, not of a virus scanner. Only root sees other users' files.
 */
export function processIn(directory: string, { readers = true } = {}): { pid: number; name: string } | null {
  if (!existsSync(directory)) return null
  const root = realpathSync(directory)
  const inside = (path: string) => path === root || path.startsWith(root + sep)
  for (const pid of listPids()) {
    if (pid === process.pid) continue
    if (list(`/proc/${pid}/fd`).some(link => inside(targetOf(link)) && (readers || isWritable(link))))
      return { pid, name: basename(targetOf(`/proc/${pid}/exe`)) }
  }
  return null
}

/** Of an entry of /proc/<pid>/fd: opened with O_WRONLY or O_RDWR. */
function isWritable(link: string): boolean {
  const info = orEmpty(() => readFileSync(link.replace('/fd/', '/fdinfo/'), 'latin1'))
  const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? '0', 8)
  return (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0
}

const list = (directory: string): string[] =>
  orEmpty(() => readdirSync(directory).join('\n'))
    .split('\n')
    .filter(Boolean)
    .map(name => join(directory, name))

const targetOf = (link: string): string => orEmpty(() => readlinkSync(link))

/** Empty where the process has ended or is another user's. */
function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
