import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { directoryStats } from '../plan/extracted.ts'
import type { Layout } from './innodb-files.ts'
import { findShort, type ShortTablespace } from './tablespaces.ts'

/**
 * How much a tablespace may lack. MariaDB's recovery makes each file as long as its header says. InnoDB's words on hot backups are
 * that a file may be left as long as the pages that the redo touches, so xtrabackup is given what a table that grew during the
 * backup takes ahead of use: a few MiB at a time.
 */
export const SLACK_BYTES = { 'mariadb-backup': 0, xtrabackup: 64 * 1024 * 1024 } as const

/**
 * The restored datadir is whole, as far as its files tell: InnoDB's system tablespace is there, nothing packed or half applied is
 * left, and no tablespace is shorter than it says. `onChecked` is called now and then while it looks. Throws `verify_failed`;
 * returns what a person should look at.
 */
export async function verifyDatadir(
  datadir: string,
  layout: Layout,
  { slackBytes = 0, onChecked = () => {} } = {},
): Promise<string[]> {
  const [systemFile] = layout.systemFiles
  if (!existsSync(join(datadir, systemFile!)))
    throw new RestoreError('verify_failed', `${datadir} holds no ${systemFile} after move-back`)
  const { leftovers } = await directoryStats(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${leftovers.slice(0, 3).join(', ')}`,
    )
  const short = await findShort(datadir, layout, onChecked)
  const cut = short.filter(({ bytes, expectedBytes }) => bytes < expectedBytes - slackBytes)
  if (cut.length > 0)
    throw new RestoreError('verify_failed', `${datadir}: ${formatFirst(cut.map(describe))}`, {
      hint: 'the source is not complete: bring it here again, or use another backup; do not start a server on these files',
    })
  if (short.length === 0) return []
  const files = formatFirst(short.map(describe))
  return [
    `${short.length} files are a little shorter than their headers say: ${files}; CHECK TABLE tells if that is data lost`,
  ]
}

const describe = ({ name, bytes, expectedBytes }: ShortTablespace): string =>
  `${name} has ${bytes} of ${expectedBytes} bytes`
