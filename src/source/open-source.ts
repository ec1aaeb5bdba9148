import { type Stats, statSync } from 'node:fs'
import { RestoreError } from '../errors.ts'
import { openDirectorySource } from './directory.ts'
import { openFileSource } from './file.ts'
import type { Source } from './source.ts'
import type { RefOf, SourceRef } from './source-ref.ts'
import { openStdinSource } from './stdin.ts'
import { unreadable } from './unreadable.ts'
import { openUrlSource } from './url.ts'

const OPENERS: { readonly [K in SourceRef['kind']]: (ref: RefOf<K>) => Source | Promise<Source> } = {
  stdin: () => openStdinSource(),
  path: ({ path }) => openPath(path),
  file: ({ path }) => openPath(path),
  directory: ({ path }) => openPath(path),
  url: openUrlSource,
}

/**
 * Opens a source; its `ref` then says whether a path is a file or a directory. Throws `source_missing` or
 * `source_unreadable`. Whether a source is empty or no backup, `inspectSource` says.
 */
export const openSource = async (ref: SourceRef): Promise<Source> =>
  (OPENERS[ref.kind] as (ref: SourceRef) => Source | Promise<Source>)(ref)

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
