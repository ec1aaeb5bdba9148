import { statSync } from 'node:fs'
import { acquireLock, type Lock, type LockFile } from '../../process/lock.ts'

/**
 * The lock that every tool inherits: held as long as one of them lives, also without an agent. Taken when the first tool
 * is started; a later agent that adopts tools finds it held by them, and takes it when they have ended.
 */
export interface ToolLock {
  /** For tools to inherit. Throws `locked` while others hold it. */
  fd(): number
  /** Proves that a process is ours. */
  file(): LockFile | undefined
  release(): void
}

export function createToolLock(path: string): ToolLock {
  let lock: Lock | null = null
  return {
    fd() {
      lock ??= acquireLock(path)
      return lock.fd
    },
    file() {
      const named = statSync(path, { bigint: true, throwIfNoEntry: false })
      return named && { path, dev: named.dev, ino: named.ino }
    },
    release() {
      lock?.release()
      lock = null
    },
  }
}
