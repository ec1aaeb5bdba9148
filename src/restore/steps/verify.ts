import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { directoryStats } from '../plan/extracted.ts'
import { findMissing } from './table-files.ts'
import { findShort, type Layout, type ShortTablespace } from './tablespaces.ts'

/**
 * How much shorter a tablespace may be than its header says. MariaDB's recovery makes each file as long as its header
 * says. InnoDB leaves a file in a hot backup as long as the pages that the redo touches, so a file of xtrabackup may
 * lack what a growing table allocates ahead: a few MiB at a time.
 */
export const SLACK_BYTES = { 'mariadb-backup': 0, xtrabackup: 64 * 1024 * 1024 } as const

export interface VerifyOptions {
  slackBytes?: number
  /** The backup holds only some of the server's tables: a missing file is a notice. */
  partial?: boolean
  /** A server will be asked which InnoDB tables lie in the system tablespace. */
  serverFollows?: boolean
  /** Called now and then while it looks. */
  onChecked?: () => void
}

/**
 * Checks what the files of a restored datadir tell: InnoDB's system tablespace is there, nothing is packed or
 * half applied, each table has its files, and no tablespace is shorter than it says. Throws `verify_failed`; returns
 * notices.
 */
export async function verifyDatadir(datadir: string, layout: Layout, options: VerifyOptions = {}): Promise<string[]> {
  const { slackBytes = 0, partial = false, serverFollows = false, onChecked = () => {} } = options
  const [systemFile] = layout.systemFiles
  if (!existsSync(join(datadir, systemFile!)))
    throw new RestoreError('verify_failed', `${datadir} holds no ${systemFile} after move-back`)
  const { leftovers } = await directoryStats(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${formatFirst(leftovers)}`,
    )
  const { lost, unsure } = await findMissing(datadir)
  if (lost.length > 0 && !partial)
    throw new RestoreError('verify_failed', `${lost.length} files of tables are missing: ${formatFirst(lost)}`, {
      hint: 'the source is not complete: fetch it again, or use another backup',
    })
  const short = await findShort(datadir, layout, onChecked)
  const cut = short.filter(({ bytes, expectedBytes }) => bytes < expectedBytes - slackBytes)
  if (cut.length > 0)
    throw new RestoreError('verify_failed', `${datadir}: ${formatFirst(cut.map(describe))}`, {
      hint: 'the source is not complete: fetch it again, or use another backup; do not start a server on these files',
    })
  return [
    ...(lost.length > 0
      ? [`files of tables are missing, and the backup holds some tables only: ${formatFirst(lost)}`]
      : []),
    ...(unsure.length > 0 && !partial && !serverFollows
      ? [
          `${unsure.length} InnoDB tables have no file of their own: ${formatFirst(unsure)}; that is right if they lie in ` +
            'the system tablespace (innodb_file_per_table=OFF), and data loss otherwise: --start-check tells',
        ]
      : []),
    ...(short.length > 0
      ? [
          `${short.length} files are a little shorter than their headers say: ${formatFirst(short.map(describe))}; ` +
            'CHECK TABLE tells if data are lost',
        ]
      : []),
  ]
}

const describe = ({ name, bytes, expectedBytes }: ShortTablespace): string =>
  `${name} has ${bytes} of ${expectedBytes} bytes`
