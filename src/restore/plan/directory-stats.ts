import { opendir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { splitFileName } from '../../backup/file-name.ts'
import type { ExtractedFacts } from './plan.ts'

/** What lies in an extracted or restored directory. */
export interface Survey extends ExtractedFacts {
  /** Files that a finished restore must not hold any more, relative paths: deltas, and files still packed. */
  leftovers: readonly string[]
}

const REDO_FILES = new Set(['ib_logfile0', 'xtrabackup_logfile'])

/** Walks a directory. Sizes are apparent bytes. */
export async function survey(directory: string): Promise<Survey> {
  let redoBytes: number | null = null
  let dataFileBytes = 0
  let files = 0
  const deltaFiles: Record<string, number> = {}
  const leftovers: string[] = []
  for await (const path of filesUnder(directory)) {
    const { size } = await stat(path)
    const name = relative(directory, path)
    files += 1
    if (REDO_FILES.has(name)) redoBytes = size
    else dataFileBytes += size
    if (name.endsWith('.delta')) deltaFiles[name] = size
    const { compression, encrypted } = splitFileName(name)
    if (name.endsWith('.delta') || name.endsWith('.delta.meta') || compression !== null || encrypted)
      leftovers.push(name)
  }
  return { redoBytes, dataFileBytes, files, deltaFiles, leftovers }
}

/** Every regular file under a directory; symbolic links are not followed. */
export async function* filesUnder(directory: string): AsyncGenerator<string> {
  for await (const entry of await opendir(directory)) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* filesUnder(path)
    else if (entry.isFile()) yield path
  }
}
