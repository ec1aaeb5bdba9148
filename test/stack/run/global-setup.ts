import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { binary } from '../binaries.ts'
import { makeBackup } from './make-backup.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A real MariaDB backup, zstd. */
    backup: string
  }
}

/** Once for all files: the binaries, and one real backup. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await binary('promtool')
  const directory = mkdtempSync(join(tmpdir(), 'restore-agent-stack-backup-'))
  const remove = () => rm(directory, { recursive: true, force: true })
  try {
    project.provide('backup', await makeBackup(directory))
    return remove
  } catch (error) {
    await remove()
    throw error
  }
}
