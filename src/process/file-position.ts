import { readFileSync } from 'node:fs'

/**
 * How far an open file has been read, in bytes. A child that inherited the descriptor shares the position, so this is the
 * progress of a tool that reads the file as its stdin. Blind to tools that map the file or use pread.
 */
export function filePosition(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
  return Number(/^pos:\s+(\d+)$/m.exec(info)![1])
}
