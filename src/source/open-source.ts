import { type Stats, statSync } from 'node:fs'
import { RestoreError } from '../errors.ts'
import { openDirectorySource } from './directory.ts'
import { openFileSource } from './file.ts'
import type { Source } from './source.ts'
import { openStdinSource } from './stdin.ts'
import { unreadable } from './unreadable.ts'

/**
 * Opens what the user named: `-` is standard input, a directory an extracted backup, a regular file a stream.
 * Throws `source_missing` or `source_unreadable`. That a source is empty or no backup is for `inspectSource` to say.
 */
export function openSource(name: string): Source {
  if (name === '-') return openStdinSource()
  const stats = statOf(name)
  if (stats.isDirectory()) return openDirectorySource(name)
  if (stats.isFile()) return openFileSource(name)
  // A FIFO or device could be read only once and without a size, which is what standard input is for.
  throw new RestoreError('source_unreadable', `${name} is not a regular file or directory`, {
    hint: `feed it through standard input: restore-agent restore - … < ${name}`,
  })
}

function statOf(path: string): Stats {
  try {
    return statSync(path)
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
}
