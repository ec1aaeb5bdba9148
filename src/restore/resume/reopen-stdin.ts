import type { BackupDescription } from '../../backup/backup.ts'
import { RestoreError } from '../../errors.ts'
import { identityDifference } from '../../source/identity.ts'
import { openSource } from '../../source/open-source.ts'
import type { Source } from '../../source/source.ts'
import { NO_SETTINGS } from '../../source/store-settings.ts'
import { describe } from '../plan/inputs.ts'
import type { RestoreState } from '../state/state.ts'
import { currentOptions } from '../state/state.ts'
import { needsBytes } from './needs-bytes.ts'

/**
 * Standard input of a resumed restore: what the earlier agent had read of its own is gone with it. Where the backup has
 * to be extracted again, the new input must be the same backup, as far as its first bytes tell. Null where it is not
 * needed. `stands` is the state without what was lost. Throws what is wrong with the input before anything has changed.
 */
export async function reopenStdin(stands: RestoreState, runDir: string): Promise<Source | null> {
  const options = currentOptions(stands)
  // Tools that were adopted have theirs.
  if (stands.plan === null || stands.tools.length > 0 || !needsBytes(stands, 1)) return null
  let source: Source | null = null
  try {
    source = await openSource({ kind: 'stdin' }, NO_SETTINGS)
    const { description, identity } = stands.plan.elements[0]!
    checkSame(description, await describe(source, options, runDir))
    const difference = identityDifference(identity, await source.identity())
    if (difference !== null) throw otherBackup(`its ${difference} differs`)
    return source
  } catch (thrown) {
    await source?.close()
    if (!(thrown instanceof RestoreError) || !IS_NO_BACKUP.has(thrown.code)) throw thrown
    throw new RestoreError(thrown.code, `the interrupted restore needs its backup once more: ${thrown.message}`, {
      lastWords: thrown.lastWords,
      hint: 'pipe the same backup in again',
    })
  }
}

const IS_NO_BACKUP: ReadonlySet<string> = new Set(['source_unreadable', 'source_empty', 'source_unknown'])

/** What tells two backups apart. A pipe's first bytes say little of it; a redirected file, all. */
const TELLING = [
  'family',
  'toolVersion',
  'serverVersion',
  'serverUuid',
  'backupUuid',
  'startTime',
  'kind',
  'fromLsn',
  'toLsn',
  'lastLsn',
  'layers',
  'innerCompression',
  'storedBytes',
] as const satisfies (keyof BackupDescription)[]

/** Throws `unfinished` where both are known and differ. */
export function checkSame(before: BackupDescription, now: BackupDescription): void {
  for (const key of TELLING) {
    const [was, is] = [before[key], now[key]]
    if (was === null || is === null || String(was) === String(is)) continue
    throw otherBackup(`${key} is ${String(is) || 'none'}, not ${String(was) || 'none'}`)
  }
}

const otherBackup = (why: string): RestoreError =>
  new RestoreError(
    'unfinished',
    `standard input holds another backup than the one whose restore was interrupted: ${why}`,
    { hint: 'pipe the same backup in again, or restore this one with another --state-dir' },
  )
