import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Somebody who has an account on the machine, and none of our rights. */
export const OTHER = 65533

/** A shell script of another local user. It is killed when the test ends, or by `stop`, which gives what it printed. */
export function attack(script: string, env: Readonly<Record<string, string>> = {}): { stop(): Promise<string> } {
  const child = spawn('setpriv', [`--reuid=${OTHER}`, `--regid=${OTHER}`, '--clear-groups', 'sh', '-c', script], {
    cwd: '/',
    env: { PATH: process.env.PATH!, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    printed += text
  })
  const ended = once(child, 'close')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
    await ended
    return printed
  }
  onTestFinished(async () => void (await stop()))
  return { stop }
}

/** A folder with a key in it that only root may read. `look` says all that an attacker could have changed of it. */
export function rootsSecret(dir: string): { path: string; look(): unknown } {
  const path = join(dir, 'roots-secret')
  mkdirSync(path, { mode: 0o700 })
  writeFileSync(join(path, 'id_rsa'), 'the private key of root\n', { mode: 0o600 })
  chmodSync(path, 0o700)
  const facts = (file: string) => {
    const { uid, gid, mode, size } = lstatSync(file)
    return { uid, gid, mode, size }
  }
  return {
    path,
    look: () => ({
      folder: { ...facts(path), size: 0 },
      files: readdirSync(path, { recursive: true, withFileTypes: true }).map(entry => {
        const file = join(entry.parentPath, entry.name)
        return [file, facts(file), entry.isFile() && readFileSync(file, 'utf8').slice(0, 1000)]
      }),
    }),
  }
}
