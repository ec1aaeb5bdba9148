import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { survey } from '../survey.ts'

/** The restored datadir is whole: InnoDB's system tablespace is there, and nothing packed or half applied is left. */
export async function verifyDatadir(datadir: string, systemFile = 'ibdata1'): Promise<void> {
  if (!existsSync(join(datadir, systemFile)))
    throw new RestoreError('verify_failed', `${datadir} holds no ${systemFile} after move-back`)
  const { leftovers } = await survey(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${leftovers.slice(0, 3).join(', ')}`,
    )
}

/** The first file of the system tablespace, which a server may call what it likes, by the backup's own backup-my.cnf. */
export function systemFileOf(backupConfig: string): string | undefined {
  if (!existsSync(backupConfig)) return undefined
  return /^innodb_data_file_path\s*=\s*([^:;\s]+):/m.exec(readFileSync(backupConfig, 'utf8'))?.[1]
}
