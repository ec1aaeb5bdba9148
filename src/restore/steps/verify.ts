import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import type { Layout } from '../layout.ts'
import { survey } from '../survey.ts'
import { findShort, type ShortTablespace } from '../tablespaces.ts'

/**
 * The restored datadir is whole, as far as its files tell: InnoDB's system tablespace is there, nothing packed or half applied is
 * left, and no tablespace is shorter than it says. `onChecked` is called now and then while it looks. Throws `verify_failed`.
 */
export async function verifyDatadir(datadir: string, layout: Layout, onChecked = () => {}): Promise<void> {
  const [systemFile] = layout.systemFiles
  if (!existsSync(join(datadir, systemFile!)))
    throw new RestoreError('verify_failed', `${datadir} holds no ${systemFile} after move-back`)
  const { leftovers } = await survey(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${leftovers.slice(0, 3).join(', ')}`,
    )
  const short = await findShort(datadir, layout, onChecked)
  if (short.length > 0)
    throw new RestoreError('verify_failed', `${datadir}: ${formatFirst(short.map(describe))}`, {
      hint: 'the source is not complete: bring it here again, or use another backup; do not start a server on these files',
    })
}

const describe = ({ name, bytes, expectedBytes }: ShortTablespace): string =>
  `${name} has ${bytes} of ${expectedBytes} bytes`
