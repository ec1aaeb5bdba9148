import type { BackupDescription } from '../../backup/backup.ts'
import { RestoreError } from '../../errors.ts'
import { openDirectorySource } from '../../source/directory.ts'
import { inspectSource } from '../../source/inspect.ts'

/** What an extracted directory says of itself. Its files are not in a stream any more, so no filter is needed. */
export async function describeDirectory(directory: string): Promise<BackupDescription> {
  const source = openDirectorySource(directory)
  try {
    return await inspectSource(source, {
      filters: format => {
        throw new RestoreError('internal', `a directory has no ${format} layer`)
      },
      keyFile: null,
      full: true,
    })
  } finally {
    await source.close()
  }
}
