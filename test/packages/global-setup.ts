import type { TestProject } from 'vitest/node'
import { SINGLE_FILE } from '../../scripts/package/artefacts.ts'
import { makeSingleFile } from '../../scripts/package/single-file.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The single file, built from the sources as they are now. */
    singleFile: string
  }
}

export default async function setup(project: TestProject): Promise<void> {
  await makeSingleFile(SINGLE_FILE)
  project.provide('singleFile', SINGLE_FILE)
}
