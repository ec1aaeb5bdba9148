import { execFileSync } from 'node:child_process'
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
    execFileSync('gpgconf', ['--homedir', gpgHome, '--kill', 'all'])
    rmSync(gpgHome, { recursive: true })
  })
  return name => join(root, name)
}

/** The real commands. */
export const filters: Filters = (format, keyFile) => {
  if (format === 'openssl') {
    return { file: 'openssl', args: ['enc', '-d', '-aes-256-cbc', '-pbkdf2', '-pass', `file:${keyFile}`] }
  }
  if (format === 'gpg') return { file: 'gpg', args: [...GPG, '--no-autostart', '--passphrase-file', keyFile!, '-d'] }
  return { file: format, args: format === 'zstd' ? ['-dc', '--long=31'] : ['-dc'] }
}

/**
 * With a home of its own, so that the user's keyring is not touched. Encrypting starts an agent, decrypting needs none.
 */
const gpgHome = mkdtempSync(join(tmpdir(), 'restore-agent-gpg-'))
const GPG = ['--homedir', gpgHome, '--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback']
export const gpgEncrypt = (keyFile: string): string[] => [...GPG, '--passphrase-file', keyFile, '-c']

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
