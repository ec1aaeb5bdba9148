import { readFileSync } from 'node:fs'
import { unlessGoneOrHidden } from './proc-stat.ts'

/**
 * Where a process's descriptor stands in its file, in bytes; of this process without `pid`. A descriptor that was inherited
 * shares its position with ours, so this is how far a tool has read its standard input, at no cost to it. Null when the
 * process is gone or another user's.
 */
export function filePosition(fd: number, pid: number | 'self' = 'self'): number | null {
  const text = unlessGoneOrHidden(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))
  const match = text && /^pos:\s*(\d+)/m.exec(text)
  return match ? Number(match[1]) : null
}
