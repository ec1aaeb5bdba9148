import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'

const PROJECT = join(import.meta.dirname, '../..')

/**
 * A copy of what the agent runs on, below `folder`, that any user may run: the checkout may lie where only root may
 * enter, such as /root. Its node and main.ts. Made once a folder.
 */
export function checkoutForAll(folder: string): [node: string, main: string] {
  const copy = join(folder, 'checkout')
  if (!existsSync(copy)) {
    const draft = mkdtempSync(join(folder, 'draft-'))
    for (const path of ['src', 'package.json', ...runtimePackages()])
      if (existsSync(join(PROJECT, path)))
        cpSync(join(PROJECT, path), join(draft, path), { recursive: true, dereference: true })
    cpSync(process.execPath, join(draft, 'node'), { dereference: true })
    execFileSync('chmod', ['-R', 'a+rX', draft])
    try {
      renameSync(draft, copy)
    } catch (error) {
      if (!existsSync(copy)) throw error // else another worker was faster
    }
  }
  chmodSync(folder, 0o755)
  return [join(copy, 'node'), join(copy, 'src/main.ts')]
}

function runtimePackages(): string[] {
  const { packages } = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: true }>
  }
  return Object.keys(packages).filter(path => path !== '' && !packages[path]!.dev)
}
