import { mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { Filters } from '../../src/source/filter.ts'

/** A directory of this test file alone, removed after it. */
export function scratch(): (name: string) => string {
  const root = mkdtempSync(join(tmpdir(), 'restore-agent-source-'))
  afterAll(() => {
    rmSync(root, { recursive: true })
    rmSync(gpgHome, { recursive: true })
  })
  return name => join(root, name)
}

/** The real commands. */
export const filters: Filters = (format, keyFile) => {
  if (format === 'openssl') {
    return { file: 'openssl', args: ['enc', '-d', '-aes-256-cbc', '-pbkdf2', '-pass', `file:${keyFile}`] }
  }
  if (format === 'gpg') return { file: 'gpg', args: [...GPG, '--passphrase-file', keyFile!, '-d'] }
  return { file: format, args: format === 'zstd' ? ['-dc', '--long=31'] : ['-dc'] }
}

/** With a home of its own and no agent: no process outlives it, and the user's keyring is not touched. */
const gpgHome = mkdtempSync(join(tmpdir(), 'restore-agent-gpg-'))
export const GPG = `--homedir ${gpgHome} --no-autostart --batch --quiet --no-tty --pinentry-mode loopback`.split(' ')

/** How many of this process's descriptors are of files below a directory. */
export function descriptorsBelow(directory: string): number {
  const root = realpathSync(directory)
  return readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root)
    } catch {
      // The one that readdir itself had open.
      return false
    }
  }).length
}
