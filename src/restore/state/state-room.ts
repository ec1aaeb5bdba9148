import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { existingAncestor, freeBytes } from '../../process/file-system.ts'
import { systemError } from '../../process/system-error.ts'

/**
 * Room in the state dir. Tools write their words there: on a full disk the last of them are lost, `completed OK!` among
 * them, and a good backup looks as if its prepare had failed.
 */

/** The state, and what the tools of an ordinary restore say; their output is capped a few times higher. */
export const LEAST_STATE_BYTES = 16 * 1024 * 1024
/** More than any tool's last words. */
const PROBE_BYTES = 64 * 1024

/** Throws `disk_space`. */
export function checkStateRoom(stateDir: string): void {
  const free = freeBytes(stateDir)
  if (free >= LEAST_STATE_BYTES) return
  throw new RestoreError(
    'disk_space',
    `the state dir ${stateDir} needs at least ${formatBytes(LEAST_STATE_BYTES)}, ${formatBytes(free)} are free on its file system`,
    { hint: 'free space there, or name another place with --state-dir' },
  )
}

/**
 * Why a tool's words may be missing: nothing can be written to the run dir. Null where there is room. It is tried: what a file
 * system calls free is not what root, a quota or the last inode leave.
 */
export function lostWords(runDir: string): RestoreError | null {
  const probe = join(existingAncestor(runDir), 'room.tmp')
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600, flush: true })
    return null
  } catch (thrown) {
    const error = systemError(thrown, `cannot write the state dir: nothing can be written to ${runDir}`)
    return new RestoreError(error.code, error.message, {
      hint: "free space there, or name another place with --state-dir: the tools' last words are lost, the backup is not at fault",
      cause: thrown,
    })
  } finally {
    rmSync(probe, { force: true })
  }
}
