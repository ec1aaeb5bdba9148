import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { survey } from '../survey.ts'

/** The restored datadir is whole: InnoDB's system tablespace is there, and nothing packed or half applied is left. */
export async function verifyDatadir(datadir: string): Promise<void> {
  if (!existsSync(join(datadir, 'ibdata1')))
    throw new RestoreError('verify_failed', `${datadir} holds no ibdata1 after move-back`)
  const { leftovers } = await survey(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${leftovers.slice(0, 3).join(', ')}`,
    )
}
