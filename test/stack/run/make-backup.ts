import { join } from 'node:path'
import { execa } from 'execa'
import { ROOT } from './services.ts'

/** A real backup, made as the `sample` profile of docker-compose.yml makes it. */
export async function makeBackup(directory: string): Promise<string> {
  const file = join(directory, 'full.xb.zst')
  await execa(join(ROOT, 'deploy/sample/make-backup.sh'), [file], { env: { TMPDIR: directory }, stdin: 'ignore' })
  return file
}
