import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'
import { type Backup, makeBackup } from './make-backup.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Of this run of vitest; global-setup.ts makes and removes it. */
    sharedFolder: string
  }
}

/** Making it takes 20 s on an idle machine. */
const LONGEST_WAIT_MS = 110_000

/**
 * The one real backup of this run: whoever asks first makes it, everybody else waits. It is read only, but for
 * `--in-place`, which must get a copy.
 */
export async function sharedBackup(): Promise<Backup> {
  const folder = join(inject('sharedFolder'), 'backup')
  const [done, failed] = [join(folder, 'done.json'), join(folder, 'failed')]
  if (isFirst(folder)) {
    try {
      writeFileSync(`${done}.tmp`, JSON.stringify(await makeBackup(folder)))
      renameSync(`${done}.tmp`, done)
    } catch (error) {
      writeFileSync(failed, String((error as Error).stack))
      throw error
    }
  }
  for (const deadline = Date.now() + LONGEST_WAIT_MS; Date.now() < deadline; await sleep(100)) {
    const backup = read(done)
    if (backup !== null) return JSON.parse(backup)
    const why = read(failed)
    if (why !== null) throw new Error(`the shared backup could not be made: ${why}`)
  }
  throw new Error(`the shared backup was not made within ${LONGEST_WAIT_MS / 1000} s`)
}

/** Making a directory succeeds once only. */
function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
