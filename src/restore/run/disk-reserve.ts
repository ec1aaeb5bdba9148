import { statfsSync } from 'node:fs'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import type { RestoreContext } from '../context.ts'
import type { Plan } from '../plan/plan.ts'
import type { RestoreState } from '../state/state.ts'

const LOOK_MS = 500
const MOST_BYTES = 1024 ** 3
/** A smaller file system is one that was made for this restore: it may be filled. */
const SMALLEST_BYTES = 10 * 1024 ** 3

/** Free bytes at which writing into a file system stops unless `--disk-reserve` says it: 1 % of it, at most 1 GiB. */
export const defaultReserve = (totalBytes: number): number =>
  totalBytes < SMALLEST_BYTES ? 0 : Math.min(MOST_BYTES, Math.floor(totalBytes / 100))

/**
 * Runs work that writes an element into the target dir, and ends it with `disk_space` before the file system is full: a
 * full disk stops every other program that writes to it, and may hide errors of tools. The work gets a context whose
 * signal does that.
 */
export async function withDiskReserve(
  context: RestoreContext,
  position: number,
  work: (context: RestoreContext) => Promise<void>,
): Promise<void> {
  const stopped = new AbortController()
  const { store, signal } = context
  const timer = setInterval(() => {
    const { plan } = store.state
    const error = plan === null ? null : shortOfSpace(store.state, plan, position)
    if (error !== null) stopped.abort(error)
  }, LOOK_MS)
  try {
    await work({ ...context, signal: AbortSignal.any([signal, stopped.signal]) })
  } finally {
    clearInterval(timer)
  }
}

function shortOfSpace(state: RestoreState, plan: Plan, position: number): RestoreError | null {
  const { targetDir } = plan
  let free: number
  let reserve: number
  try {
    const { bavail, blocks, bsize } = statfsSync(targetDir)
    free = bavail * bsize
    reserve = state.options.diskReserve ?? defaultReserve(blocks * bsize)
  } catch {
    return null // the tool that writes there says what is wrong
  }
  if (free >= reserve) return null
  const room = `${formatBytes(free)} are free at ${targetDir}, less than the reserve of ${formatBytes(reserve)}`
  return new RestoreError('disk_space', `${room}; still to come: ${stillToCome(state, plan, position)}`, {
    hint: 'free space, put --target-dir on a larger file system, or give a smaller --disk-reserve',
  })
}

/** In bytes of the stored form, which is what is known beforehand. */
export function stillToCome(state: RestoreState, { elements }: Plan, position: number): string {
  const read = position === state.position ? state.source.readBytes : (state.prefetched?.readBytes ?? null)
  const parts = elements.slice(position - 1).map(({ name, description: { storedBytes } }, index) => {
    const left = storedBytes === null ? null : Math.max(0, storedBytes - (index === 0 ? (read ?? 0) : 0))
    return `${left === null ? 'an unknown part' : formatBytes(left)} of ${name}`
  })
  return `${parts.join(', ')} (as stored)`
}
