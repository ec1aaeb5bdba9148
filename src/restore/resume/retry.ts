import { ERRORS, type ErrorCode } from '../../errors.ts'
import { isStdin } from '../../source/source-ref.ts'
import { toolFamily } from '../../tool/families.ts'
import type { Plan } from '../plan/plan.ts'
import { isInterrupted } from '../state/runs.ts'
import type { RestoreState } from '../state/state.ts'

/** What follows a failed attempt; null: the restore ends. */
export type NextTry =
  | { kind: 'again'; memoryCapBytes: number | null }
  | { kind: 'older'; backupIndex: number }
  /** It failed as often as is allowed, for reasons that might have passed. */
  | { kind: 'exhausted' }
  | null

/** Network and storage hiccups, and a tool that was killed from outside. Everything else would only fail again. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['source_unreadable', 'source_unreachable', 'tool_killed'])

export const mayPass = (code: ErrorCode): boolean => MAY_PASS.has(code)

/**
 * Errors of one backup rather than of the machine. The restore ends with them if the backup asked for has them, because
 * the user can fix them; an older backup that has them is skipped.
 */
const OF_ONE_BACKUP: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'source_missing',
  'source_unreadable',
  'source_denied',
  'source_changed',
  'source_unreachable',
  'source_unknown',
  'wrong_key',
  'key_missing',
  'chain_broken',
  'tool_missing',
  'tool_version',
])

/** Whether the backup that is restored now is at fault, and an older one may not be. */
export const isOfBackup = ({ backupIndex }: Pick<RestoreState, 'backupIndex'>, code: ErrorCode): boolean =>
  ERRORS[code].backup || (backupIndex > 0 && OF_ONE_BACKUP.has(code))

/**
 * Decides by the error and what the state counts. Standard input is consumed after one attempt. A prepare that was
 * killed gets half the memory: most of the time it was the OOM killer. Disk full is the environment's: never counted,
 * never a reason for an older backup.
 */
export function nextTry(state: RestoreState, code: ErrorCode, looked: boolean): NextTry {
  const { failures, options, backupIndex, plan, memoryCapBytes } = state
  const olderIsThere = backupIndex < options.olderBackups.length
  const older: NextTry = olderIsThere ? { kind: 'older', backupIndex: backupIndex + 1 } : null
  // A server that was killed while it applied binlogs was started again often enough.
  const wasApplying = isInterrupted(state, { kind: 'apply' })
  if (looked && mayPass(code) && !wasApplying && !options.sources.some(isStdin)) {
    if (failures + 1 > options.retries) return older ?? { kind: 'exhausted' }
    const wasPreparing = isInterrupted(state, { kind: 'prepare' })
    const isTooMuch = code === 'tool_killed' && wasPreparing && plan !== null && !askedAnew(state, plan)
    const cap = isTooMuch ? halfTheMemory(plan) : memoryCapBytes
    return { kind: 'again', memoryCapBytes: cap }
  }
  return isOfBackup(state, code) ? older : null
}

/** Whether the user has set another --use-memory since the tool started; that counts more than the tool's end. */
function askedAnew({ options: { memory: asked }, memoryCapBytes }: RestoreState, { memory, tool }: Plan): boolean {
  if (asked === 'auto' || memory === null || memoryCapBytes !== null) return false
  return memory.bytes !== Math.max(asked, toolFamily(tool.family).memoryFloorBytes)
}

/** At least the tool's floor: with less the next attempt would be refused. */
const halfTheMemory = ({ memory, tool }: Plan): number =>
  Math.max(toolFamily(tool.family).memoryFloorBytes, Math.floor((memory?.bytes ?? 0) / 2))

/**
 * The delay doubles with each failure, up to 16 times, and 50 to 100 % of it is used: agents that failed together do
 * not retry together.
 */
export function backoffMs(failures: number, delayMs: number, random: () => number = Math.random): number {
  const full = delayMs * 2 ** Math.min(4, Math.max(0, failures - 1))
  return full * (0.5 + random() / 2)
}
