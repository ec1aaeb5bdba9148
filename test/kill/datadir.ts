import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fingerprint, startServer } from '../../scripts/sample/server.ts'

/** What was restored: the full backup alone, or all of the chain. */
export type TruthName = 'full' | 'chain'

export function hashOf(directory: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
  for (const path of files) hash.update(relative(directory, path)).update('\0').update(readFileSync(path))
  return hash.digest('hex')
}

/** What a server that is started on the datadir says of its tables. */
export async function tablesOf(datadir: string): Promise<readonly string[]> {
  const server = await startServer(datadir, `${datadir}.log`)
  try {
    return await fingerprint(server)
  } finally {
    await server.stop()
    rmSync(`${datadir}.log`)
  }
}
