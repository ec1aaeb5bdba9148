import { execaSync } from 'execa'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the random kills. */
    seed: number
  }
}

/** These tests attack as other users and on file systems of their own. A machine that cannot do that fails them. */
export default function requireMachine(project: TestProject): void {
  if (process.getuid!() !== 0) throw new Error('the adversary tests need root: they become other users and mount disks')
  for (const [what, ...command] of [
    ['setpriv, to become another user', 'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', 'true'],
    ['a free loop device, to make a disk of', 'losetup', '--find'],
    ['mkfs.ext4, to format it', 'mkfs.ext4', '-V'],
    ['unshare and a mount namespace', 'unshare', '--mount', 'true'],
  ] as const) {
    const [file, ...args] = command
    const { failed, stderr } = execaSync(file, args, {
      reject: false,
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    })
    if (failed) throw new Error(`the adversary tests need ${what}: ${command.join(' ')} failed\n${stderr ?? ''}`)
  }
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
  console.log(`random kills from SEED=${seed}`)
  project.provide('seed', seed)
}
