import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'

const newDir = () => mkdtempSync(join(realpathSync(tmpdir()), 'ra-test-'))
const remove = (dir: string) => rmSync(dir, { recursive: true, force: true })

/** A folder of the running test, removed when it has ended. */
export function scratch(): string {
  const dir = newDir()
  onTestFinished(() => remove(dir))
  return dir
}

/** A folder of a test file, removed after its last test: called at the top of a file or of a `describe`. */
export function fileScratch(): string {
  const dir = newDir()
  afterAll(() => remove(dir))
  return dir
}
