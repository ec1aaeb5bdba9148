import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type History, makeHistory } from './make-history.ts'

declare module 'vitest' {
  interface ProvidedContext {
    history: History
  }
}

/** One history for all files: making it takes some 20 s. */
export default async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'ra-history-'))
  project.provide('history', await makeHistory(folder))
  return () => rmSync(folder, { recursive: true, force: true })
}
