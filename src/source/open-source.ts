import { type Stats, statSync } from 'node:fs'
import { RestoreError } from '../errors.ts'
import { openDirectorySource } from './directory.ts'
import { openFileSource } from './file.ts'
import { openRemoteSource } from './remote.ts'
import { openS3Source } from './s3.ts'
import type { Source } from './source.ts'
import type { RefOf, SourceRef } from './source-ref.ts'
import { openStdinSource } from './stdin.ts'
import type { StoreSettings } from './store-settings.ts'
import { openStoredBackup } from './stored-backup.ts'
import { unreadable } from './unreadable.ts'
import { secretUrl } from './url-secrets.ts'

type Open<R> = (ref: R, settings: StoreSettings) => Source | Promise<Source>
const OPENERS: { readonly [K in SourceRef['kind']]: Open<RefOf<K>> } = {
  stdin: () => openStdinSource(),
  path: ({ path }) => openPath(path),
  file: ({ path }) => openPath(path),
  directory: ({ path }) => openPath(path),
  backup: openStoredBackup,
  url: ref => openRemoteSource(ref, { kind: 'http', url: secretUrl(ref.url) }),
  s3: openS3Source,
}

/**
 * Opens a source; its `ref` then says whether a path is a file or a directory. Throws `source_missing`,
 * `source_unreadable`, and of a remote one what `openRemoteSource` throws. Whether a source is empty or no backup,
 * `inspectSource` says.
 */
export const openSource = async (ref: SourceRef, settings: StoreSettings): Promise<Source> =>
  (OPENERS[ref.kind] as Open<SourceRef>)(ref, settings)

function openPath(path: string): Source {
  const stats = statOf(path)
  if (stats.isDirectory()) return openDirectorySource(path)
  if (stats.isFile()) return openFileSource(path)
  // A FIFO or a device has no size and can be read only once, as standard input can.
  throw new RestoreError('source_unreadable', `${path} is not a regular file or directory`, {
    hint: `feed it through standard input: restore-agent restore - … < ${path}`,
  })
}

function statOf(path: string): Stats {
  try {
    return statSync(path)
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
}
