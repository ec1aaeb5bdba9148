import { join } from 'node:path'
import { acquireLock, createToolLock, type ToolLock } from '../../process/lock.ts'
import { checkClaims } from './saved-paths.ts'
import type { RestoreState } from './state.ts'
import { ensureStateDir } from './state-dir.ts'
import { readStateFile, writeStateFile } from './state-file.ts'

/** The state dir, held by this agent alone: `agent.lock` is ours, `lock` is the tools'. */
export interface Place {
  stateDir: string
  toolLock: ToolLock
  /** What an agent before left; null where there is nothing. Throws `state_unreadable`. */
  read(): RestoreState | null
  write(state: RestoreState, durable: boolean): void
  release(): void
}

/** Throws `not_permitted`, or `locked` where another agent is at work. */
export function openPlace(stateDir: string): Place {
  ensureStateDir(stateDir)
  const agentLock = acquireLock(join(stateDir, 'agent.lock'))
  const toolLock = createToolLock(join(stateDir, 'lock'))
  const stateFile = join(stateDir, 'state.json')
  return {
    stateDir,
    toolLock,
    read() {
      const found = readStateFile(stateFile)
      if (found?.status === 'running') checkClaims(found, stateDir)
      return found
    },
    write: (state, durable) => writeStateFile(stateFile, state, durable),
    release() {
      toolLock.release()
      agentLock.release()
    },
  }
}
